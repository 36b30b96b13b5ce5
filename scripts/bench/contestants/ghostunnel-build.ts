// Builds ghostunnel from its source, which the Go module proxy serves, once, into .cache/ghostunnel/VERSION/.
// One module that it names is not served by every proxy: it connects through an HTTP proxy in ghostunnel's client mode,
// which the bench never uses, so a few lines that refuse stand in for it. Everything on the data path is its own.

import { execFile } from 'node:child_process';
import { cp, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { findProgram } from '../processes.ts';

export const GHOSTUNNEL_VERSION = '1.11.0';

const MODULE = `github.com/ghostunnel/ghostunnel@v${GHOSTUNNEL_VERSION}`;
const folder = resolve(import.meta.dirname, `../../../.cache/ghostunnel/${GHOSTUNNEL_VERSION}`);
const STAND_IN = 'github.com/wrouesnel/go.connect-proxy-scheme';
const BUILD_LIMIT_MS = 600_000;

const standIn = `// Stands in for ${STAND_IN}: no HTTP proxy in this build.
package connectproxy

import (
	"errors"
	"net/url"

	"golang.org/x/net/proxy"
)

func ConnectProxy(*url.URL, proxy.Dialer) (proxy.Dialer, error) {
	return nil, errors.New("built without HTTP proxies")
}
`;

/** Where the built program is, whether or not it is there yet. */
export const ghostunnelProgram = join(folder, 'ghostunnel');

/** Builds it. @throws with what Go said */
export async function buildGhostunnel(): Promise<void> {
  const go = findProgram('go');
  if (go === null) throw new Error('no go on this machine: apt-get install golang-go');
  const source = join(folder, 'source');
  const run = async (cwd: string, ...args: string[]): Promise<string> => {
    const options = { cwd, timeout: BUILD_LIMIT_MS, maxBuffer: 1 << 26 };
    return (await promisify(execFile)(go, args, options)).stdout;
  };
  await rm(folder, { recursive: true, force: true });
  await mkdir(join(folder, 'stand-in'), { recursive: true });
  const { Dir } = JSON.parse(await run(folder, 'mod', 'download', '-json', MODULE)) as { Dir: string };
  // Go's cache is read-only; the copy is to be edited, and removed with the rest.
  await cp(Dir, source, { recursive: true });
  await promisify(execFile)('chmod', ['-R', 'u+w', source]);
  await writeFile(join(folder, 'stand-in/go.mod'), `module ${STAND_IN}\n\ngo 1.21\n`);
  await writeFile(join(folder, 'stand-in/stand-in.go'), standIn);
  await run(source, 'mod', 'edit', `-replace=${STAND_IN}=../stand-in`);
  await run(source, 'build', '-mod=mod', '-trimpath', '-o', join(folder, 'built'), '.');
  await rm(source, { recursive: true, force: true });
  // last, so that a build that was killed is simply done again
  await rename(join(folder, 'built'), ghostunnelProgram);
}
