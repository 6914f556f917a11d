"""Worlds on a Hub, against a stand-in that speaks its protocol on this machine."""

import base64
import dataclasses
import hashlib
import json
import re
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from aapt_env import checkpoint, cli, hub, tensors
from aapt_env.paths import find_checkpoint, folder_name

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class StandIn(BaseHTTPRequestHandler):
    """Repositories in memory: {repo: {file: bytes}}."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        repos, path = self.server.repos, self.path.partition("?")[0]
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = "/".join(filter(None, [asked.get("organization"), asked["name"]]))
            new = name not in repos
            repos.setdefault(name, {})
            return self.say({"url": f"{self.server.address}/{name}"}, 200 if new else 409)
        if path == "/api/validate-yaml":
            return self.say({"errors": [], "warnings": []})
        if found := re.fullmatch("/api/models/(.+/.+)/preupload/main", path):
            files = json.loads(body)["files"]
            return self.say(
                {
                    "files": [
                        {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                        for f in files
                    ]
                }
            )
        if found := re.fullmatch("/api/models/(.+/.+)/commit/main", path):
            for line in map(json.loads, body.decode().splitlines()):
                if line["key"] == "file":
                    repos[found[1]][line["value"]["path"]] = base64.b64decode(
                        line["value"]["content"]
                    )
            return self.say(
                {
                    "commitUrl": f"{self.server.address}/{found[1]}/commit/{COMMIT}",
                    "commitOid": COMMIT,
                }
            )
        return self.say({}, 404)

    def do_GET(self):
        repos, path = self.server.repos, self.path.partition("?")[0]
        if (found := re.fullmatch("/api/models/([^/]+/[^/]+)(/revision/.+)?", path)) and found[
            1
        ] in repos:
            files = [{"rfilename": n, "size": len(b)} for n, b in repos[found[1]].items()]
            return self.say(
                {
                    "id": found[1],
                    "sha": COMMIT,
                    "siblings": files,
                    "private": False,
                    "tags": [],
                    "downloads": 0,
                }
            )
        if found := re.fullmatch("/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path):
            self.server.fetched.append(found[2])
            if found[1] not in repos:
                return self.say({}, 404, {"X-Error-Code": "RepoNotFound"})
            if found[2] not in repos[found[1]]:
                return self.say({}, 404, {"X-Error-Code": "EntryNotFound"})
            return self.say(repos[found[1]][found[2]])
        return self.say({}, 404, {"X-Error-Code": "RepoNotFound"})

    do_HEAD = do_GET

    def say(self, body, status=200, headers=()):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        about = {
            "Content-Length": len(raw),
            "X-Repo-Commit": COMMIT,
            "ETag": f'"{tensors.sha256(raw)}"',
        }
        for name, value in (about | dict(headers)).items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(raw)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    constants = pytest.importorskip("huggingface_hub.constants")
    with ThreadingHTTPServer(("127.0.0.1", 0), StandIn) as server:
        server.repos, server.fetched = {}, []
        server.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        monkeypatch.setenv("HF_TOKEN", "hf_stand_in")
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
        monkeypatch.chdir(tmp_path)
        yield server
        server.shutdown()
        thread.join()


def test_a_world_goes_up_and_comes_down_the_same(server, tiny, tmp_path, capsys):
    assert cli.main(["push", str(tiny), "someone/tiny"]) == 0
    assert f"pushed: {server.address}/someone/tiny/commit/" in capsys.readouterr().out
    assert set(server.repos["someone/tiny"]) == {*checkpoint.WEIGHTS, "config.json"}
    server.repos["someone/tiny"] |= {
        "README.md": b"# a card",
        "pytorch_model.bin": b"pickle",
        "run.py": b"raise SystemExit",
    }
    assert cli.main(["pull", "someone/tiny", "--out", str(tmp_path / "worlds")]) == 0
    place = tmp_path / "worlds/tiny"
    assert {path.name for path in place.iterdir()} == {
        *checkpoint.WEIGHTS,
        "config.json",
        "README.md",
    }
    assert checkpoint.read(place).hash == checkpoint.read(tiny).hash
    assert not {"pytorch_model.bin", "run.py"} & set(server.fetched), (
        "only what config.json names, and the card"
    )


def test_a_repository_is_a_checkpoint_in_make_and_play(server, tiny):
    import gymnasium as gym

    import aapt_env  # noqa: F401
    from aapt_env.play import opening

    hub.push(tiny, "someone/tiny")
    env = gym.make("AAPT-World-v0", checkpoint="someone/tiny", disable_env_checker=True)
    assert env.unwrapped.spec_world.game == "tiny"
    env.close()
    opening.check(opening.Wanted(game="tiny", checkpoint="someone/tiny"))
    assert find_checkpoint("someone/tiny").name == COMMIT


@pytest.mark.parametrize(
    "name", ["../../evil.safetensors", "sub/evil.safetensors", "evil.py", "evil.bin"]
)
def test_names_that_a_stranger_chose(server, tiny, tmp_path, name):
    hub.push(tiny, "someone/evil")
    files = server.repos["someone/evil"]
    config = json.loads(files["config.json"])
    config["files"][name] = "0" * 64
    files["config.json"], files[name] = json.dumps(config).encode(), b"evil"
    with pytest.raises(ValueError, match="plain names|no safetensors file"):
        hub.pull("someone/evil")
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.parametrize(
    ("name", "said"), [("notes.txt", "no safetensors file"), ("gone.safetensors", "is missing")]
)
def test_what_a_config_names_goes_up_only_where_it_is_of_a_world(
    server, tiny, tmp_path, name, said
):
    """A stranger's config.json once had any file of a folder sent, and made repositories that nobody could pull."""
    folder = shutil.copytree(tiny, tmp_path / "theirs")
    (folder / "notes.txt").write_text("mine")
    config, _ = checkpoint.read_config(folder)
    files = config.files | {name: hashlib.sha256(b"mine").hexdigest()}
    checkpoint.write_config(folder, dataclasses.replace(config, files=files))
    with pytest.raises(ValueError, match=said):
        hub.push(folder, "someone/theirs")
    assert "someone/theirs" not in server.repos


def test_links_to_files_elsewhere_do_not_go_up(server, tiny, tmp_path):
    """But a pulled world's files are links into the cache, and it may be pushed on."""
    folder = shutil.copytree(tiny, tmp_path / "theirs")
    (tmp_path / "secret").write_text("mine")
    (folder / "README.md").symlink_to(tmp_path / "secret")
    with pytest.raises(ValueError, match=r"README.md is a link to a file elsewhere"):
        hub.push(folder, "someone/theirs")
    hub.push(tiny, "someone/tiny")
    hub.push(hub.pull("someone/tiny"), "someone/copy")
    assert server.repos["someone/copy"] == server.repos["someone/tiny"]


def test_every_file_that_comes_down_is_the_one_that_was_named(server, tiny):
    """Those of a newer version too, which this one does not read."""
    hub.push(tiny, "someone/tiny")
    there = server.repos["someone/tiny"]
    config = json.loads(there["config.json"])
    config["files"]["more.safetensors"] = "0" * 64
    there["config.json"] = json.dumps(config).encode()
    there["more.safetensors"] = there["vae.safetensors"]
    with pytest.raises(ValueError, match="more.safetensors has sha256"):
        hub.pull("someone/tiny")


def test_a_changed_file_is_not_read(server, tiny):
    hub.push(tiny, "someone/tiny")
    weights = server.repos["someone/tiny"]
    weights["vae.safetensors"] = weights["vae.safetensors"][:-1] + b"!"
    with pytest.raises(ValueError, match="vae.safetensors has sha256 .*config.json says"):
        checkpoint.read(find_checkpoint("someone/tiny"))


def test_another_world_of_that_name_stays(server, tiny, make_checkpoint, tmp_path, capsys):
    hub.push(tiny, "someone/tiny")
    mine = make_checkpoint(tmp_path / "checkpoints/tiny", seed=5)
    before = (mine / "config.json").read_bytes()
    assert cli.main(["pull", "someone/tiny"]) == 2
    assert "is another world; give another --out" in capsys.readouterr().err
    assert (mine / "config.json").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pull", "someone/nothing"], "someone/nothing: no such repository"),
        (["pull", "someone/empty"], "someone/empty is no checkpoint"),
        (["push", "nowhere", "someone/tiny"], "nowhere is not there"),
        (["push", "TINY", "tiny"], "repository 'tiny'; expected org/name"),
    ],
)
def test_what_cannot_be_met_is_one_sentence(server, tiny, words, said, capsys):
    server.repos["someone/empty"] = {}
    assert cli.main([str(tiny) if word == "TINY" else word for word in words]) == 2
    assert said in capsys.readouterr().err


def test_no_network_is_one_sentence(server, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    with pytest.raises(ValueError, match="someone/far: the Hub cannot be (used|reached)"):
        hub.pull("someone/far")


def test_what_is_a_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    assert hub.is_repo("someone/driving-64") and not hub.is_repo("driving")
    for name in ("runs/drivng", "gym:ALE/Pong-v5", "a/b/c", "../x", "./x", "/x/y", "a/..", "org/"):
        assert not hub.is_repo(name)


@pytest.mark.parametrize("game", ["..", ".", "../../etc", "/etc", "a\\..\\b", ".hidden"])
def test_a_games_name_is_no_path(game):
    name = folder_name(game)
    assert name and not name.startswith(".") and not set(name) & set("/\\:")
