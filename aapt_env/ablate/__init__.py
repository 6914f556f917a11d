"""`aapt ablate`: what each part of the method is worth, by training without it."""
