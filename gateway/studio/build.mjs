// Bundles src/ into dist/, which is committed so that nobody needs Node to run the mesh.
// With --check it only says whether dist/ is what the sources give.
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";

const SOURCES = ["src", "gen", "build.mjs", "package.json", "package-lock.json", "tsconfig.json"];
const COPIED = ["index.html", "favicon.svg"];

async function filesOf(path) {
  const entries = await readdir(path, { withFileTypes: true, recursive: true }).catch(() => null);
  if (entries === null) return [path];
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

// tests/browser/test_bundle.py computes the same without Node.
async function digestOfSources() {
  const files = (await Promise.all(SOURCES.map(filesOf))).flat().sort();
  const digest = createHash("sha256");
  for (const file of files)
    digest
      .update(`${file}\0`)
      .update(await readFile(file))
      .update("\0");
  return digest.digest("hex");
}

async function licencesOf(metafile) {
  const names = Object.keys(metafile.inputs).map((input) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(input)?.[1]);
  const packages = [...new Set(names.filter((name) => name !== undefined))].sort();
  const texts = await Promise.all(packages.map(licenceOf));
  return `The studio contains these packages.\n\n${texts.join("\n\n")}\n`;
}

async function licenceOf(name) {
  const { version, license } = JSON.parse(await readFile(`node_modules/${name}/package.json`, "utf8"));
  const text = await readFile(`node_modules/${name}/LICENSE`, "utf8").catch(() => "");
  return `${name} ${version}: ${license}\n\n${text}`.trim();
}

async function bundle(directory) {
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true });
  const { metafile } = await build({
    entryPoints: { studio: "src/main.tsx" },
    outdir: directory,
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    charset: "utf8",
    legalComments: "none",
    metafile: true,
    logLevel: "warning",
  });
  for (const name of COPIED) await writeFile(join(directory, name), await readFile(join("src", name)));
  await writeFile(join(directory, "licences.txt"), await licencesOf(metafile));
  await writeFile(join(directory, "sources.sha256"), `${await digestOfSources()}\n`);
}

async function driftedFrom(directory) {
  const drifted = [];
  for (const name of await readdir(directory)) {
    const committed = await readFile(join("dist", name)).catch(() => Buffer.of());
    if (!committed.equals(await readFile(join(directory, name)))) drifted.push(name);
  }
  return drifted;
}

process.chdir(import.meta.dirname);
if (process.argv.includes("--check")) {
  const fresh = await mkdtemp(join(tmpdir(), "kinemesh-studio-"));
  await bundle(fresh);
  const drifted = await driftedFrom(fresh);
  await rm(fresh, { recursive: true });
  for (const name of drifted) console.error(`dist/${name} is not what the sources give; run \`make studio\``);
  process.exit(drifted.length ? 1 : 0);
}
await bundle("dist");
