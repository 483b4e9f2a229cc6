# SPDX-License-Identifier: Apache-2.0
"""The real Codex CLI with a hook before its shell tool, and a model that calls the tool once."""

import json
import os
import subprocess
import tempfile

from model import Model


def run_codex(codex, hook_command, environment=None, limit=60):
    """Returns whether the tool ran, and what the model was told of it."""
    with tempfile.TemporaryDirectory(prefix="hook-codex.") as folder:
        home, work, proof = f"{folder}/home", f"{folder}/work", f"{folder}/proof"
        os.makedirs(home)
        os.makedirs(work)
        model = Model(f"echo ran > {proof}; echo the tool ran")
        with open(f"{home}/config.toml", "w") as file:
            file.write(
                f'model = "scripted"\nmodel_provider = "scripted"\napproval_policy = "never"\nsandbox_mode = "danger-full-access"\n'
                f'[model_providers.scripted]\nname = "scripted"\nbase_url = "http://127.0.0.1:{model.port}/v1"\n'
                f'wire_api = "responses"\nrequest_max_retries = 0\nstream_max_retries = 0\n'
            )
        with open(f"{home}/hooks.json", "w") as file:
            json.dump({"hooks": {"PreToolUse": [{"hooks": [{"type": "command", "command": hook_command, "timeout": 20}]}]}}, file)
        arguments = ["exec", "--skip-git-repo-check", "--ephemeral", "--dangerously-bypass-hook-trust", "call the tool"]
        done = subprocess.run(
            [codex, *arguments], cwd=work, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit,
            env={**os.environ, "CODEX_HOME": home, "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1", **(environment or {})},
        )  # fmt: skip
        model.end()
        outputs = model.outputs()
        assert outputs, f"the model was told nothing: {done.stdout.decode()} {done.stderr.decode()}"
        return os.path.exists(proof), outputs[-1]


if __name__ == "__main__":
    import sys

    print(run_codex(sys.argv[1], sys.argv[2]))
