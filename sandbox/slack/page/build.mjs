// Builds dist/ from src/ and the locked packages; with --check it only compares, so that CI sees a bundle nobody rebuilt.
import { build } from "esbuild";
import { existsSync } from "node:fs";
import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const dist = path.join(here, "dist");

const result = await build({
  absWorkingDir: here,
  entryPoints: { app: "src/main.jsx" },
  outdir: "dist",
  bundle: true,
  minify: true,
  write: false,
  metafile: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  charset: "utf8",
  legalComments: "none",
  define: { "process.env.NODE_ENV": '"production"' },
});

const files = new Map(result.outputFiles.map((file) => [path.basename(file.path), Buffer.from(file.contents)]));
files.set("index.html", await readFile(path.join(here, "src/index.html")));
files.set("LICENSES.txt", Buffer.from(await licences(Object.keys(result.metafile.inputs))));

if (process.argv.includes("--check")) {
  const stale = [];
  for (const [name, content] of files) {
    const there = existsSync(path.join(dist, name)) ? await readFile(path.join(dist, name)) : null;
    if (there === null || !there.equals(content)) stale.push(name);
  }
  for (const name of await readdir(dist)) if (!files.has(name)) stale.push(`${name} (left over)`);
  if (stale.length) {
    console.error(`sandbox/slack/page/dist is not what src and the lock file build: ${stale.join(", ")}. Run: npm run build`);
    process.exit(1);
  }
  console.log(`dist holds the same bytes: ${[...files].map(([name, content]) => `${name} ${content.length}`).join(", ")}`);
} else {
  await mkdir(dist, { recursive: true });
  for (const [name, content] of files) await writeFile(path.join(dist, name), content);
  console.log([...files].map(([name, content]) => `${name} ${content.length}`).join("\n"));
}

async function licences(inputs) {
  const roots = new Set();
  for (const input of inputs) {
    const match = input.match(/^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//);
    if (match) roots.add(match[1]);
  }
  const parts = ["Packages bundled into app.js and app.css, with their licences.\n"];
  for (const root of [...roots].sort()) {
    const about = JSON.parse(await readFile(path.join(here, root, "package.json"), "utf8"));
    const file = (await readdir(path.join(here, root))).sort().find((name) => /^(licen[cs]e|copying)/i.test(name));
    const text = file ? (await readFile(path.join(here, root, file), "utf8")).trim() : `Licence: ${about.license}`;
    parts.push(`${"=".repeat(80)}\n${about.name} ${about.version} (${about.license})\n${"=".repeat(80)}\n${text}\n`);
  }
  parts.push(
    `${"=".repeat(80)}\nInside slack-blocks-to-jsx: @yozora/* (MIT)\n${"=".repeat(80)}\n` +
      "slack-blocks-to-jsx is published with its Markdown parser, the @yozora packages (MIT), already bundled in.\n",
  );
  return parts.join("\n");
}
