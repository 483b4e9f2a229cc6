// SPDX-License-Identifier: Apache-2.0
// The hooks of the real Gemini CLI, from its core package, around a tool that only says that it has
// run: HookSystem, HookRunner, HookAggregator and executeToolWithHooks are its own.
//
// usage: node gemini.mjs PACKAGE-FOLDER < CASES
//
// CASES are lines of JSON: {"command": ..., "timeout": milliseconds}. For each one a line of JSON
// comes back: {"ran": whether the tool ran, "text": what the model is told}.
import readline from "node:readline";
import path from "node:path";
import { pathToFileURL } from "node:url";

const core = path.join(process.argv[2], "node_modules/@google/gemini-cli-core/dist/src");
const load = (file) => import(pathToFileURL(path.join(core, file)).href);
const { HookSystem } = await load("hooks/hookSystem.js");
const { executeToolWithHooks } = await load("core/coreToolHookTriggers.js");

// Gemini's configuration, as far as hooks ask for it.
function configuration(hook) {
  const config = {
    isTrustedFolder: () => true,
    sanitizationConfig: { allowedEnvironmentVariables: [], blockedEnvironmentVariables: [], enableEnvironmentVariableRedaction: false },
    storage: { getPlansDir: () => "/tmp" },
    getProjectHooks: () => undefined,
    getProjectRoot: () => process.cwd(),
    getWorkingDir: () => process.cwd(),
    getHooks: () => ({ BeforeTool: [{ matcher: "*", hooks: [hook] }] }),
    getExtensions: () => [],
    getDisabledHooks: () => [],
    getSessionId: () => "session",
    geminiClient: undefined,
    getMcpClientManager: () => undefined,
    getMcpServers: () => undefined,
    getTranscriptPath: () => "",
    getHookSystem: () => system,
  };
  config.config = config;
  const proxy = new Proxy(config, { get: (target, name) => (name in target ? target[name] : () => undefined) });
  config.config = proxy;
  const system = new HookSystem(proxy);
  return { proxy, system };
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { command, timeout } = JSON.parse(line);
  const { proxy, system } = configuration({ name: "gate", type: "command", command, timeout: timeout ?? 60000 });
  await system.initialize();
  let ran = false;
  const invocation = {
    params: { command: "rm -rf /" },
    execute: async () => {
      ran = true;
      return { llmContent: "the tool ran", returnDisplay: "" };
    },
  };
  const result = await executeToolWithHooks(invocation, "run_shell_command", new AbortController().signal, { build: () => invocation }, undefined, {}, proxy);
  console.log(JSON.stringify({ ran, text: String(result.llmContent) }));
}
process.exit(0);
