// A kubelet in small. It runs what the containers of a pod say, as processes of this machine: their commands, arguments,
// variables, probes and volumes are those of the manifest, and the image is the Dockerfile's word for its folder, variables and
// entry point. Only what a cluster would give is put in: folders for the volumes, and addresses of this machine for the
// cluster's. Init containers run one after the other; one with restartPolicy Always goes on, and the next one waits for its
// startup probe. Files of projected volumes and ConfigMaps change as the kubelet changes them: all at once, by a symbolic link.

import { readFileSync } from 'node:fs';
import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join, resolve } from 'node:path';
import { type Container, containersOf, type PodSpec, type Volume } from '../../deploy/pods.ts';
import type { ApiServer, PodName } from './api-server.ts';
import { certgateOnPath } from './documented.ts';
import { eventually } from './eventually.ts';
import { clientEnvironment, prefectPrograms } from './prefect.ts';
import { type Exit, finish, type Running, start } from './processes.ts';

export interface Cluster {
  readonly api: ApiServer;
  /** By name. */
  readonly configMaps: Map<string, Readonly<Record<string, string>>>;
  /** What a manifest says, with the addresses of this machine. */
  here(text: string): string;
}

export interface PodOptions extends PodName {
  readonly spec: PodSpec;
  /** A folder that is there and empty. */
  readonly dir: string;
  /** Which containers to leave out. */
  readonly without?: readonly string[];
}

export interface Pod {
  container(name: string): Running;
  /** The folder of a volume. */
  volume(name: string): string;
  /** Runs a command in a container, as `kubectl exec` does. */
  exec(container: string, command: readonly string[]): ReturnType<typeof finish>;
  /** What the kubelet does when a container has ended: the same again, on the same volumes, until its startup probe is content. */
  restart(container: string, signal: NodeJS.Signals): Promise<Running>;
  /** New tokens in place of the old ones. */
  rotateTokens(): Promise<void>;
  /** The containers first, then the sidecars from last to first. Answers how the sidecars ended. */
  stop(): Promise<Exit[]>;
}

const DOCKERFILE = readFileSync(resolve(import.meta.dirname, '../../../Dockerfile'), 'utf8');
const said = (pattern: RegExp): string => {
  const found = [...DOCKERFILE.matchAll(pattern)].at(-1)?.[1];
  if (found === undefined) throw new Error(`the Dockerfile has no ${pattern.source}`);
  return found;
};
const IMAGE = {
  folder: said(/^WORKDIR (\S+)$/gm),
  variables: Object.fromEntries(
    [...DOCKERFILE.replaceAll('\\\n', ' ').matchAll(/^ENV (.*)$/gm)].flatMap(([, line = '']) =>
      [...line.matchAll(/(\w+)=(\S+)/g)].map(([, name = '', value = '']) => [name, value] as const),
    ),
  ),
  entrypoint: JSON.parse(said(/^ENTRYPOINT (\[.*\])$/gm)) as readonly string[],
};

export async function startPod(cluster: Cluster, options: PodOptions): Promise<Pod> {
  const { dir, without = [] } = options;
  const spec = JSON.parse(cluster.here(JSON.stringify(options.spec))) as PodSpec;
  const folders = new Map((spec.volumes ?? []).map(({ name }) => [name, join(dir, 'volumes', name)]));
  const volume = (name: string): string => {
    const folder = folders.get(name);
    if (folder === undefined) throw new Error(`${options.name} has no volume ${name}`);
    return folder;
  };
  const fill = async (): Promise<void> => {
    for (const one of spec.volumes ?? []) await project(volume(one.name), filesOf(one, cluster, options));
  };
  for (const folder of folders.values()) await mkdir(folder, { recursive: true, mode: 0o770 });
  await fill();
  const programs = await programsIn(dir);
  const running = new Map<string, Running>();
  const specOf = (name: string): Container => {
    const found = containersOf(spec).find((one) => one.name === name);
    if (found === undefined) throw new Error(`${options.name} has no container ${name}`);
    return found;
  };
  const placeOf = (container: Container) => {
    const { here, cwd } = pathsOf(container, volume, dir);
    const settings = (container.envFrom ?? []).map(({ configMapRef: { name } }) => {
      const data = cluster.configMaps.get(name);
      if (data === undefined) throw new Error(`there is no ConfigMap ${name}`);
      return data;
    });
    const own = (container.env ?? []).map(({ name, value = '' }) => [name, value] as const);
    const ours = container.image.startsWith('certgate') ? IMAGE.variables : {};
    const env = Object.entries(Object.assign({}, ours, ...settings, Object.fromEntries(own)) as Record<string, string>);
    const given = Object.fromEntries(env.map(([name, value]) => [name, here(cluster.here(value))]));
    const base = clientEnvironment(null, join(dir, 'prefect'), { PREFECT_WORKER_QUERY_SECONDS: '1' });
    return { here, cwd, env: { ...base, PATH: [...programs, base['PATH']].join(delimiter), ...given } };
  };
  const wordsOf = (container: Container): readonly [string, string[]] => {
    const { command, args = [], image } = container;
    const [first, ...rest] = [...(command ?? (image.startsWith('certgate') ? IMAGE.entrypoint : [])), ...args];
    if (first === undefined) throw new Error(`${container.name} says no command`);
    return [first, rest];
  };
  const launch = (container: Container): Running => {
    const { here, cwd, env } = placeOf(container);
    const [program, words] = wordsOf(container);
    const process = start(program, words.map(here), { env, cwd });
    running.set(container.name, process);
    return process;
  };
  const exec: Pod['exec'] = async (name, command) => {
    const { here, cwd, env } = placeOf(specOf(name));
    const [program = '', ...words] = command;
    return await finish(program, words.map(here), { env, cwd });
  };
  /** Fails when it ends before its probe was content: a kubelet would start it again and again. */
  const probed = async (container: Container, process: Running): Promise<void> => {
    const { exec: probe, httpGet } = container.startupProbe ?? {};
    if (probe === undefined && httpGet === undefined) return;
    const content = async (): Promise<boolean> => {
      if (probe !== undefined) return (await exec(container.name, probe.command)).code === 0;
      const port = container.ports?.find(({ name }) => name === httpGet?.port)?.containerPort;
      const answer = await fetch(`http://127.0.0.1:${port}${httpGet?.path}`).catch(() => null);
      return answer?.ok === true;
    };
    let over: number | string | null | undefined;
    void process.exited.then(({ code, signal }) => {
      over = code ?? signal;
    });
    await eventually(`the startup probe of ${container.name}`, async () =>
      over !== undefined || (await content()) ? true : undefined,
    );
    if (over !== undefined) throw new Error(`${container.name} ended with ${over}: ${process.stderr()}`);
  };
  for (const container of spec.initContainers ?? []) {
    const process = launch(container);
    if (container.restartPolicy === 'Always') await probed(container, process);
    else {
      const { code } = await process.exited;
      if (code !== 0) throw new Error(`${container.name} ended with ${code}: ${process.stderr()}`);
    }
  }
  for (const container of spec.containers.filter(({ name }) => !without.includes(name))) {
    await probed(container, launch(container));
  }
  const container: Pod['container'] = (name) => {
    const process = running.get(name);
    if (process === undefined) throw new Error(`${name} of ${options.name} does not run`);
    return process;
  };
  return {
    container,
    volume,
    exec,
    restart: async (name, signal) => {
      await container(name).stop(signal);
      const again = launch(specOf(name));
      await probed(specOf(name), again);
      return again;
    },
    rotateTokens: fill,
    stop: async () => {
      await Promise.all(spec.containers.map(async ({ name }) => await running.get(name)?.stop()));
      const sidecars = (spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
      const ends: Exit[] = [];
      for (const { name } of sidecars.toReversed()) ends.push(await container(name).stop());
      return ends;
    },
  };
}

/** Paths of the container as paths of this machine: in one go, so that none is taken for another's beginning. */
function pathsOf({ volumeMounts = [] }: Container, volume: (name: string) => string, dir: string) {
  const places = new Map(
    volumeMounts.map(({ name, mountPath, subPath = '' }) => [mountPath, join(volume(name), subPath)] as const),
  );
  const longest = [...places.keys()].toSorted((one, other) => other.length - one.length);
  const mounted = new RegExp(
    `(?<![\\w./-])(?:${longest.map((path) => path.replaceAll('.', '\\.')).join('|')})(?=[/"' ]|$)`,
    'g',
  );
  const here = (text: string): string =>
    longest.length === 0 ? text : text.replace(mounted, (path) => places.get(path) ?? path);
  return { here, cwd: places.get(IMAGE.folder) ?? dir };
}

/** Undefined for a volume that holds what its containers write. */
function filesOf({ projected, configMap }: Volume, { api, configMaps }: Cluster, pod: PodName) {
  const entries = (
    projected?.sources ?? (configMap === undefined ? [] : [{ configMap: { ...configMap, items: null } }])
  ).flatMap((source): (readonly [string, string])[] => {
    if ('serviceAccountToken' in source && source.serviceAccountToken !== undefined) {
      const { path, audience = null, expirationSeconds = 3_600 } = source.serviceAccountToken;
      return [[path, api.token(pod, audience, expirationSeconds)]];
    }
    const { name = '', items = null } = source.configMap ?? {};
    const data = configMaps.get(name);
    if (data === undefined) throw new Error(`there is no ConfigMap ${name}: the pod waits`);
    return items === null
      ? Object.entries(data)
      : items.map(({ key, path }) => {
          const text = data[key];
          if (text === undefined) throw new Error(`${name} has no ${key}`);
          return [path, text] as const;
        });
  });
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

/** As the kubelet's atomic writer does it (kubernetes/kubernetes pkg/volume/util/atomic_writer.go). */
async function project(folder: string, files: Readonly<Record<string, string>> | undefined): Promise<void> {
  if (files === undefined) return;
  const version = `..${Date.now()}.${Math.random().toString(36).slice(2)}`;
  await mkdir(join(folder, version), { mode: 0o755 });
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, version, name), text, { mode: 0o440 });
  await symlink(version, join(folder, '..data_tmp'));
  await rename(join(folder, '..data_tmp'), join(folder, '..data'));
  for (const name of Object.keys(files)) {
    await rm(join(folder, name), { force: true });
    await symlink(join('..data', name), join(folder, name));
  }
}

/** What the images have on their PATH: certgate and node, and Prefect. */
async function programsIn(dir: string): Promise<readonly string[]> {
  return [certgateOnPath(join(dir, 'bin')), dirname(process.execPath), await prefectPrograms()];
}
