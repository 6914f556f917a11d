"""What `aapt` can do. A verb is a frozen dataclass: its fields are its flags, and its `run` loads what does the work.

So `aapt --help` needs no torch.
"""
