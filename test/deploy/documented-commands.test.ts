// docs/deploy.md line by line: whatever it has a person type is held against the files that it is about. A line that nobody
// here knows how to check fails the test.

import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { shellBlocks } from '../e2e/harness/documented.ts';
import { cleanEnvironment, finish } from '../e2e/harness/processes.ts';
import { unknownIn } from './command-lines.ts';
import { documentsIn, kustomizations, manifestsOf, read, template } from './documents.ts';
import { containersOf, podSpecs } from './pods.ts';
import { helm, root, skippedFor } from './tools.ts';

const PAGE = 'docs/deploy.md';
const text = readFileSync(join(root, PAGE), 'utf8');
const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => heading);
/** Every command of the page, one a line, whatever heading it stands below. */
const commands = shellBlocks(PAGE, headings[0] ?? '')
  .join('\n')
  .replaceAll('\\\n', ' ')
  .split('\n')
  .flatMap((line) => line.split(' && '))
  .map((line) => line.trim())
  .filter((line) => line !== '');

/** What is wrong with a command; undefined for one that this is not about. */
type Check = (line: string) => Promise<string[]> | string[] | undefined;
const missing = (...paths: readonly string[]): string[] =>
  paths.filter((path) => !existsSync(join(root, path))).map((path) => `there is no ${path}`);
const unless = (good: boolean, problem: string): string[] => (good ? [] : [problem]);

interface Kind {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec?: { readonly podSelector?: { readonly matchLabels?: unknown } };
}
const served = manifestsOf('server').flatMap((path) => documentsIn(read(path))) as Kind[];
const namespaces = kustomizations
  .flatMap(manifestsOf)
  .flatMap((path) => documentsIn(read(path)) as Kind[])
  .filter(({ kind }) => kind === 'Namespace')
  .map(({ metadata }) => metadata.name);
const [packageJson, dockerfile] = ['package.json', 'Dockerfile'].map((name) =>
  readFileSync(join(root, name), 'utf8'),
) as [string, string];
const { services } = parse(read('compose/compose.yaml')) as { services: Record<string, object> };
const config = (names: readonly string[]): string[] =>
  names.includes('certgate-ca') && JSON.stringify(template).includes('"default":"certgate-ca"')
    ? []
    : ['no pod waits for that ConfigMap'];

/** The command inside of `kubectl exec`, `docker compose exec` or `sudo`. */
const inside = async (words: string): Promise<string[]> => {
  const [program = '', ...rest] = words.split(/ +/).filter((word) => !/^[<>]/.test(word));
  if (program === 'cat') return unless(rest[0] === 'certs/ca.crt', `nobody makes ${rest[0]}`);
  return program === 'certgate' ? await unknownIn([program, ...rest]) : [`what does ${program} do there?`];
};

const CHECKS: readonly (readonly [RegExp, (...words: string[]) => ReturnType<Check>])[] = [
  [/^kubectl apply -k deploy\/kubernetes\/(\S+)$/, (folder) => unless(kustomizations.includes(folder), `no ${folder}`)],
  [
    /^kubectl rollout status -n prefect deployment\/(\S+)$/,
    (name) =>
      unless(
        served.some((one) => one.kind === 'Deployment' && one.metadata.name === name),
        `no ${name}`,
      ),
  ],
  [
    /^kubectl exec -n prefect deploy\/(\S+) -c (\S+) -- (.*)$/,
    async (name, container, words) => {
      const [pod] = podSpecs(served.filter(({ metadata }) => metadata.name === name));
      const has = pod !== undefined && containersOf(pod).some((one) => one.name === container);
      return [...unless(has, `no ${container} in ${name}`), ...(await inside(words))];
    },
  ],
  [/^kubectl create namespace (\S+)$/, (name) => unless(namespaces.includes(name), `no ${name}`)],
  [
    /^kubectl create configmap (\S+) -n (\S+) --from-file=ca\.crt$/,
    (name, namespace) => [...config([name]), ...unless(namespaces.includes(namespace), `no ${namespace}`)],
  ],
  [/^prefect work-pool create \S+ --type kubernetes --base-job-template (\S+)$/, (path) => missing(path)],
  [
    /^helm install \S+ (deploy\S+|prefect\/\S+) (.*)$/,
    (chart, flags) => [
      ...(chart.startsWith('deploy') ? missing(chart) : []),
      ...missing(...[...flags.matchAll(/-f (\S+)/g)].map(([, path = '']) => path)),
    ],
  ],
  [/^helm repo add prefect https:\/\/prefecthq\.github\.io\/prefect-helm$/, () => []],
  [
    /^docker build -t certgate:(\S+) \.$/,
    (tag) => unless(read('helm/certgate/Chart.yaml').includes(`appVersion: ${tag}\n`), `${tag} is not the chart’s`),
  ],
  [
    /^docker compose up -d( --build)?((?: \w+)*)$/,
    (_build, names) =>
      names.split(' ').flatMap((name) => unless(name === '' || name in services, `no service ${name}`)),
  ],
  [
    /^docker compose exec (\w+) (.*)$/,
    async (name, words) => [...unless(name in services, `no service ${name}`), ...(await inside(words))],
  ],
  // The sidecar in compose is of this user, and warns of a token that others can read.
  [
    /^sudo ch(?:own (\d+)|mod 0400) (\S+)$/,
    (user, file) => [
      ...unless(user === '' || dockerfile.includes(`USER ${user}:`), `the image is not of ${user}`),
      ...unless(read('compose/compose.yaml').includes(`file: ./${file}\n`), `no secret ${file}`),
    ],
  ],
  // As the Dockerfile installs it.
  [/^npm ci$/, () => missing('package-lock.json')],
  [/^npm run (\w+)$/, (script) => unless(packageJson.includes(`"${script}":`), `no script ${script}`)],
  [/^sudo install -d (\/opt\/certgate)$/, (path) => unless(dockerfile.includes(`WORKDIR ${path}\n`), path)],
  [
    /^sudo cp -r dist package\.json LICENSE \/opt\/certgate\/$/,
    () =>
      ['dist', 'package.json', 'LICENSE'].flatMap((one) =>
        unless(new RegExp(`^COPY .*${one} `, 'm').test(dockerfile), one),
      ),
  ],
  [
    /^sudo (?:chmod -R a\+rX \/opt\/certgate|chmod 0755 (\/opt\/certgate\/\S+))$/,
    (path) => unless(path === '' || dockerfile.includes(`chmod 0755 ${path.replace('/opt/certgate/', '')}`), path),
  ],
  [/^sudo ln -sf (\S+ \/usr\/local\/bin\/certgate)$/, (link) => unless(dockerfile.includes(`ln -s ${link} `), link)],
  [/^sudo cp deploy\/systemd\/\*\.service deploy\/systemd\/\*\.socket \/etc\/systemd\/system\/$/, () => []],
  [
    /^sudo install -D -m 0644 (deploy\/systemd\/\S+) \/etc\/(?:sysusers|tmpfiles)\.d\/certgate\.conf$/,
    (path) => missing(path),
  ],
  [/^sudo (?:systemd-sysusers|systemd-tmpfiles --create|systemctl daemon-reload)$/, () => []],
  [
    /^sudo systemctl (?:enable --now|start|stop) (certgate\S*?)(\.socket)?$/,
    (unit, socket) => missing(`deploy/systemd/${unit.replace(/@.*/, '@')}${socket || '.service'}`),
  ],
  [
    /^sudo install (?:-d )?-o (\S+) -g (\S+) -m 0[47]00 (?:token )?\/\S+$/,
    (user, group) => {
      const users = read('systemd/certgate.sysusers.conf');
      return [user, group].flatMap((one) => unless(one === 'root' || users.includes(`u ${one} `), `no user ${one}`));
    },
  ],
  [/^sudo -u certgate (certgate .*)$/, (words) => inside(words)],
];

test.each(commands)('%s', async (command) => {
  const [found] = CHECKS.flatMap(([pattern, check]) => {
    const match = pattern.exec(command);
    return match === null ? [] : [check(...match.slice(1).map((word) => word ?? ''))];
  });
  expect(found, 'nothing here checks it').toBeDefined();
  expect(await found).toEqual([]);
});

test('the page has commands for every folder of deploy/', () => {
  expect(commands.length).toBeGreaterThan(20);
  expect(commands.filter((command) => command.startsWith('helm install certgate '))).toHaveLength(2);
  for (const path of ['deploy/systemd', 'deploy/kubernetes', 'deploy/helm'])
    expect(commands.join('\n')).toContain(path);
});

describe.skipIf(helm.missing !== null)(`helm install${skippedFor(helm)}`, () => {
  const installs = commands.filter((command) => command.startsWith('helm install certgate deploy/helm/certgate'));

  test.each(installs)('as printed takes the chart, and its notes are about what it made: %s', async (command) => {
    const server = await emptyCluster();
    const [, ...args] = command.split(/ +/);
    const ran = await finish(helm.path, [...args, '--dry-run=client', '--disable-openapi-validation'], {
      cwd: root,
      env: cleanEnvironment({ HELM_KUBEAPISERVER: server, KUBECONFIG: '/dev/null' }),
    });
    expect(ran.code, ran.stderr).toBe(0);
    const [manifest = '', notes = ''] = ran.stdout.split('\nNOTES:\n');
    const made = documentsIn(manifest.slice(manifest.indexOf('MANIFEST:') + 'MANIFEST:'.length)) as Kind[];
    expect(notes).toMatch(/^The gate is https:\/\/certgate\.prefect\.svc\.cluster\.local:8443\.$/m);
    const execs = [...notes.matchAll(/kubectl exec -n prefect (\w+)\/(\S+) -c certgate -- (.*)$/gm)];
    expect(execs.length).toBe(2);
    for (const [, kind = '', name = '', words = ''] of execs) {
      const there = kind === 'statefulset' ? made : served;
      const wanted = kind === 'statefulset' ? 'StatefulSet' : 'Deployment';
      expect(
        there.some((one) => one.kind === wanted && one.metadata.name === name),
        name,
      ).toBe(true);
      expect(await inside(words)).toEqual([]);
    }
    if (command.includes('mode=sidecar')) expect(notes).not.toContain('kubectl get pods');
    else {
      const [, labels = ''] = /kubectl get pods -n prefect -l (\S+)$/m.exec(notes) ?? [];
      const chosen: unknown = Object.fromEntries(labels.split(',').map((one) => one.split('=')));
      expect(made.map(({ spec }) => spec?.podSelector?.matchLabels)).toContainEqual(chosen);
    }
    expect(notes).toContain('kubectl create configmap certgate-ca -n prefect --from-file=ca.crt');
    expect(notes.includes('workers etl-1 wait')).toBe(command.includes('workers.etl-1'));
    expect(
      made.some((one) => one.kind === 'PersistentVolumeClaim' && notes.includes(`volume ${one.metadata.name} `)),
    ).toBe(true);
  });
});

/** An API server of a cluster that has nothing, as far as `helm install --dry-run=client` asks one. */
async function emptyCluster(): Promise<string> {
  const kinds: Readonly<Record<string, readonly string[]>> = {
    '/api/v1': ['ConfigMap', 'PersistentVolumeClaim', 'Pod', 'Service', 'ServiceAccount'],
    '/apis/apps/v1': ['Deployment', 'StatefulSet'],
    '/apis/networking.k8s.io/v1': ['NetworkPolicy'],
  };
  const groups = ['apps', 'networking.k8s.io'].map((name) => {
    const version = { groupVersion: `${name}/v1`, version: 'v1' };
    return { name, versions: [version], preferredVersion: version };
  });
  const answers: Readonly<Record<string, object>> = {
    '/version': { major: '1', minor: '34', gitVersion: 'v1.34.0' },
    '/api': { kind: 'APIVersions', versions: ['v1'] },
    '/apis': { kind: 'APIGroupList', apiVersion: 'v1', groups },
  };
  const server = createServer(({ url = '' }, answer) => {
    const path = url.replace(/\?.*/, '');
    const resources = kinds[path]?.map((kind) => {
      const name = kind.replace(/y$/, 'ie').toLowerCase();
      return { name: `${name}s`, singularName: '', namespaced: true, kind, verbs: ['get'] };
    });
    const groupVersion = path.replace(/^\/apis?\//, '');
    const found = resources === undefined ? answers[path] : { kind: 'APIResourceList', groupVersion, resources };
    answer.writeHead(found === undefined ? 404 : 200, { 'content-type': 'application/json' });
    answer.end(JSON.stringify(found ?? { kind: 'Status', status: 'Failure', reason: 'NotFound', code: 404 }));
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
