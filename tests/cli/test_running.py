"""`dizuo runs`, and importing a model, against a scripted hub."""

from __future__ import annotations

from pathlib import Path

from tests.cli.scripted_hub import FAILED, MADE, Ask, ScriptedHub


def _model(folder: Path) -> Path:
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text("{}")
    return folder / "model"


def test_follow_goes_to_the_end(ask: Ask) -> None:
    hub = ScriptedHub(ends={"tune": MADE})
    followed = ask(hub, "runs", "follow", "tune", "--json")
    assert (followed.status, followed.json["state"]) == (0, "succeeded")
    assert "digits:1" in ask(hub, "runs", "follow", "tune").out
    assert ask(ScriptedHub(ends={"tune": FAILED}), "runs", "follow", "tune").status == 1


def test_the_log_is_printed_as_it_is(ask: Ask) -> None:
    assert ask(ScriptedHub(), "runs", "log", "tune").out == "=== attempt 1 ===\nepoch 1 训练\n"


def test_cancelling_says_whether_it_has_stopped_yet(ask: Ask) -> None:
    running = ScriptedHub()
    assert "will stop" in ask(running, "runs", "cancel", "tune").out
    assert ask(running, "runs", "cancel", "tune", "--json").json["state"] == "running"
    stopped = ScriptedHub(ends={"tune": {"state": "cancelled"}})
    assert ask(stopped, "runs", "cancel", "tune").out == "The run is cancelled.\n"


def test_a_model_is_sent_and_imported(ask: Ask, tmp_path: Path) -> None:
    hub = ScriptedHub(ends={"import": MADE})
    said = ask(hub, "model", "import", _model(tmp_path), "--family", "vision", "--name", "digits")
    assert (said.status, said.out) == (0, "Imported digits:1.\n")
    (asked,) = hub.asked
    assert (asked["kind"], asked["name"], asked["family"]) == ("import", "digits", "vision")
    assert asked["upload"].startswith("sha256:")
    assert "upload" in said.err


def test_an_import_that_goes_on_alone(ask: Ask, tmp_path: Path) -> None:
    arguments = (
        "model",
        "import",
        _model(tmp_path),
        "--family",
        "vision",
        "--name",
        "digits",
        "--detach",
    )
    assert ask(ScriptedHub(), *arguments).out == "Import started as run import.\n"
    assert ask(ScriptedHub(), *arguments, "--json").json["state"] == "queued"


def test_an_import_that_fails(ask: Ask, tmp_path: Path) -> None:
    hub = ScriptedHub(ends={"import": FAILED})
    said = ask(hub, "model", "import", _model(tmp_path), "--family", "vision", "--name", "digits")
    assert said.status == 1
    assert "The rows are empty." in said.err


def test_a_model_of_a_hub_is_named_and_not_sent(ask: Ask) -> None:
    hub = ScriptedHub(ends={"import": MADE})
    forms = ("--target", "safetensors", "--target", "gguf-q8_0")
    named = ("--name", "qwen3", "--family", "text")
    room = ("--context-tokens", "8192")
    said = ask(hub, "model", "import", "hf://Qwen/Qwen3-0.6B@main", *named, *forms, *room)
    assert (said.status, said.out) == (0, "Imported digits:1.\n")
    assert hub.asked == [
        {
            "kind": "import",
            "source": "hf://Qwen/Qwen3-0.6B@main",
            "name": "qwen3",
            "family": "text",
            "targets": ["safetensors", "gguf-q8_0"],
            "task": {"context_tokens": 8192},
        }
    ]


def test_a_gguf_file_is_sent_as_the_only_one_of_a_folder(ask: Ask, tmp_path: Path) -> None:
    hub = ScriptedHub(ends={"import": MADE})
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "model.gguf").write_bytes(b"GGUF")
    for path in (tmp_path / "folder" / "model.gguf", tmp_path / "folder"):
        assert ask(hub, "model", "import", path, "--name", "m", "--family", "text").status == 0
    alone, folder = hub.asked
    assert alone == folder
    missing = ("--name", "m", "--family", "text")
    assert ask(hub, "model", "import", tmp_path / "no.gguf", *missing).status == 1
