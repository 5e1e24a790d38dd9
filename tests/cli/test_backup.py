"""What a restore advises may be pasted into a shell, also when the archive was made to deceive."""

from __future__ import annotations

import shlex

from ikkan.cli.backup import pulls


def test_commands_to_bring_models_back_are_in_order() -> None:
    model = {"name": "qwen", "source": "hf:Qwen/Qwen2.5@abc", "aliases": ["default"]}
    assert pulls([model]) == [
        "ikkan model pull hf:Qwen/Qwen2.5@abc --name qwen",
        "ikkan model use qwen",
        "ikkan model pull --defaults",
    ]
    assert pulls([]) == []


def test_a_model_name_that_is_a_command_stays_a_name() -> None:
    (command, *_rest) = pulls([{"name": "x; rm -rf ~", "source": "hf:a\n$(id)\x1b[2J"}])
    assert shlex.split(command) == ["ikkan", "model", "pull", "hf:a?$(id)?[2J", "--name", "x; rm -rf ~"]
