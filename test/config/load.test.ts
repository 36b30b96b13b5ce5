import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { isCertgateError } from '../../src/errors.ts';

/** A folder with a certgate.yaml of these lines. */
function folderWith(...lines: string[]): string {
  const dir = mkdtempSync(join(tmpdir(), 'certgate-config-'));
  writeFileSync(join(dir, 'certgate.yaml'), `${lines.join('\n')}\n`);
  return dir;
}

/** Every problem as one line, in the order in which they are told. */
function problemsOf(action: () => unknown): string[] {
  try {
    action();
  } catch (error) {
    if (!isCertgateError(error, 'CG_CONFIG')) throw error;
    return error.facts.problems.map(({ place, problem, remedy }) => `${place} | ${problem} | ${remedy}`);
  }
  return [];
}

describe('the layers', () => {
  const cwd = folderWith(
    'trustDomain: from.file',
    'serve:',
    '  drain: 1m',
    'log:',
    '  level: warn',
    'issue:',
    '  ttl: 1h',
  );

  test('go defaults < file < environment < flags', () => {
    const env = { CERTGATE_LOG_LEVEL: 'error', CERTGATE_ISSUE_TTL: '2h' };
    const config = loadConfig({ env, flags: { 'issue.ttl': '3h' }, cwd });
    expect(config.serve.listen).toBe('0.0.0.0:8443');
    expect(config.serve.drain).toBe(60_000);
    expect(config.log.level).toBe('error');
    expect(config.issue.ttl).toBe(10_800_000);
  });

  test('are all optional: without a file there are the defaults, and paths start at the working directory', () => {
    const empty = mkdtempSync(join(tmpdir(), 'certgate-config-'));
    const config = loadConfig({ env: {}, cwd: empty });
    expect(config).toMatchObject({
      file: null,
      dir: empty,
      stateDir: join(empty, 'state'),
      certsDir: join(empty, 'certs'),
    });
    expect(config.serve.limits).toEqual({
      headBytes: 32_768,
      headerLines: 100,
      handshake: 10_000,
      head: 15_000,
      idle: 75_000,
      stall: 300_000,
      upstreamIdle: 4000,
      upstreamConnect: 5000,
      connections: null,
      connectionsPerAddress: 10_000,
      handshakesPerAddress: 500,
      connectionsPerIdentity: 2_000,
      requestsPerIdentity: 1_000,
    });
    expect(config.connect).toMatchObject({ gate: null, listen: '127.0.0.1:4210', drain: 30_000 });
    expect(config.identity.rules).toEqual([{ from: 'spiffe' }]);
  });

  test('take an empty variable as one that is not set', () => {
    expect(loadConfig({ env: { CERTGATE_LOG_LEVEL: '' }, cwd }).log.level).toBe('warn');
  });

  test('read lists, switches, numbers and rules from text', () => {
    const env = {
      CERTGATE_SERVE_NAMES: 'gate.example, 192.0.2.7',
      CERTGATE_LOG_ACCESS: 'false',
      CERTGATE_SERVE_LIMITS_HEADER_LINES: '50',
      CERTGATE_IDENTITY_RULES: '[{"from":"spiffe"},{"from":"CN","match":"(etl-[0-9]+)","as":"worker/$1"}]',
    };
    const config = loadConfig({ env, cwd });
    expect(config.serve.names).toEqual(['gate.example', '192.0.2.7']);
    expect(config.log.access).toBe(false);
    expect(config.serve.limits.headerLines).toBe(50);
    expect(config.identity.rules).toHaveLength(2);
  });

  test.each([
    ['0', Number.POSITIVE_INFINITY],
    ['off', Number.POSITIVE_INFINITY],
    ['7', 7],
  ])('read a limit of %s from a variable and from the file: none, or a number', (text, limit) => {
    const env = { CERTGATE_SERVE_LIMITS_REQUESTS_PER_IDENTITY: text };
    expect(loadConfig({ env, cwd }).serve.limits.requestsPerIdentity).toBe(limit);
    const dir = folderWith('serve:', '  limits:', `    requestsPerIdentity: ${text}`);
    expect(loadConfig({ env: {}, cwd: dir }).serve.limits.requestsPerIdentity).toBe(limit);
  });

  test('take auto only where something is found out', () => {
    const odd = { CERTGATE_SERVE_LIMITS_REQUESTS_PER_IDENTITY: 'auto' };
    expect(problemsOf(() => loadConfig({ env: odd, cwd }))).toHaveLength(1);
    const env = { CERTGATE_SERVE_LIMITS_CONNECTIONS: 'auto' };
    expect(loadConfig({ env, cwd }).serve.limits.connections).toBeNull();
  });

  test("put relative paths of the file at the file's folder, those of variables and flags at the working directory", () => {
    const dir = folderWith('stateDir: st', 'connect:', '  identityDir: id', 'serve:', '  upstream: unix:p.sock');
    const below = join(dir, 'below');
    mkdirSync(below);
    const env = { CERTGATE_CERTS_DIR: 'c' };
    const config = loadConfig({ file: '../certgate.yaml', env, flags: { 'connect.ca': 'ca.crt' }, cwd: below });
    expect(config.dir).toBe(dir);
    expect(config.file).toBe(join(dir, 'certgate.yaml'));
    expect(config.stateDir).toBe(join(dir, 'st'));
    expect(config.connect.identityDir).toBe(join(dir, 'id'));
    expect(config.serve.upstream).toBe(`unix:${join(dir, 'p.sock')}`);
    expect(config.certsDir).toBe(join(below, 'c'));
    expect(config.connect.ca).toBe(join(below, 'ca.crt'));
  });

  test('take a version or a number where text is wanted, quoted or not', () => {
    expect(loadConfig({ env: {}, cwd: folderWith('serve:', '  minTls: 1.2') }).serve.minTls).toBe('1.2');
    expect(loadConfig({ env: {}, cwd: folderWith('serve:', "  minTls: '1.2'") }).serve.minTls).toBe('1.2');
  });

  test('take a section that is left empty as one that is not there', () => {
    expect(loadConfig({ env: {}, cwd: folderWith('serve:', 'connect:', '  limits:') }).serve.drain).toBe(300_000);
    expect(loadConfig({ env: {}, cwd: folderWith('# nothing but a comment') }).trustDomain).toBe('certgate.internal');
  });
});

describe('the file', () => {
  const cwd = mkdtempSync(join(tmpdir(), 'certgate-config-'));

  test('must be there when it is named, by the flag or by CERTGATE_CONFIG', () => {
    for (const load of [
      () => loadConfig({ file: 'x.yaml', env: {}, cwd }),
      () => loadConfig({ env: { CERTGATE_CONFIG: 'x.yaml' }, cwd }),
    ]) {
      expect(load).toThrow('the configuration file x.yaml does not exist');
    }
  });

  test('must be a file of UTF-8 text', () => {
    expect(() => loadConfig({ file: '.', env: {}, cwd })).toThrow('is a folder');
    writeFileSync(join(cwd, 'latin1.yaml'), Buffer.from([0x61, 0xe9, 0x0a]));
    expect(() => loadConfig({ file: 'latin1.yaml', env: {}, cwd })).toThrow('is not UTF-8 text');
  });

  test.each(['', '\n', ' \n\n', '\ufeff'])('is not what a full disk leaves of it, without its policy: %j', (left) => {
    writeFileSync(join(cwd, 'left.yaml'), left);
    expect(() => loadConfig({ file: 'left.yaml', env: {}, cwd })).toThrow('the configuration file left.yaml is empty');
  });

  test('may be the device that is always empty', () => {
    expect(loadConfig({ file: '/dev/null', env: {}, cwd }).serve.drain).toBe(300_000);
  });
});

describe('problems', () => {
  test('are told all at once, each with its place and its remedy', () => {
    const cwd = folderWith(
      'trustdomain: prefect.example',
      'serve:',
      '  listen: 8443',
      '  drain: 30',
      '  names: [gate.example, "not a name"]',
      '  limit: {}',
      'identity:',
      '  rules:',
      '    - from: spiffe',
      '    - {from: CN, match: "(a+)+", as: worker/$1}',
      'log: loud',
    );
    const env = { CERTGATE_SERVE_UPSTREM: 'x', CERTGATE_SERVE_DRAIN: 'soon' };
    expect(problemsOf(() => loadConfig({ env, flags: { 'serve.upstream': 'https://x' }, cwd }))).toEqual([
      'certgate.yaml:1:1 | there is no setting trustdomain | did you mean trustDomain?',
      'certgate.yaml:6:3 | there is no setting serve.limit | did you mean limits?',
      'certgate.yaml:11:6 | log must hold keys | the keys of log are level, access',
      'CERTGATE_SERVE_UPSTREM | certgate knows no such variable | did you mean CERTGATE_SERVE_UPSTREAM?',
      'certgate.yaml:3:11 | serve.listen is 8443; it must be host:port, [ipv6]:port or systemd:NAME | for example: listen: 0.0.0.0:8443',
      'certgate.yaml:4:10 | serve.drain is 30; it must be a duration such as 500ms, 30s, 5m, 24h or 7d, from 0s to 24h | for example: drain: 5m',
      'certgate.yaml:5:25 | serve.names[1] is "not a name"; it must be a list of at most 100 DNS names and IP addresses | for example: names: [gate.example, 192.0.2.7]',
      expect.stringMatching(/^certgate\.yaml:10:7 \| identity\.rules\[1\]: /),
      'CERTGATE_SERVE_DRAIN | serve.drain is "soon"; it must be a duration such as 500ms, 30s, 5m, 24h or 7d, from 0s to 24h | for example: CERTGATE_SERVE_DRAIN=5m',
      '--upstream | serve.upstream is "https://x"; it must be http://host:port without a path, or unix:/path | for example: --upstream http://127.0.0.1:4200',
    ]);
  });

  test('of YAML itself have line and column too', () => {
    const problems = problemsOf(() => loadConfig({ env: {}, cwd: folderWith('serve:', '\tlisten: x') }));
    expect(problems[0]).toMatch(/^certgate\.yaml:2:1 \| this is not YAML: /);
    const twice = problemsOf(() => loadConfig({ env: {}, cwd: folderWith('stateDir: a', 'stateDir: b') }));
    expect(twice).toEqual([
      'certgate.yaml:2:1 | stateDir is here a second time | write both under the one stateDir: at certgate.yaml:1:1',
    ]);
  });

  test.each([
    ['trustDomain: a\n---\ntrustDomain: b', 'certgate.yaml:2:1 | another document begins here (---) |'],
    [`serve: {names: ${'['.repeat(5_000)}${']'.repeat(5_000)}}`, 'this is nested too deeply |'],
    ['%YAML 1.1\n---\nserve: {<<: {drain: 1m}}', 'certgate.yaml:3:9 | there is no setting serve.<< |'],
  ])('of YAML itself are told in words of ours, once: %.30j', (text, told) => {
    expect(problemsOf(() => loadConfig({ env: {}, cwd: folderWith(text) }))).toEqual([expect.stringContaining(told)]);
  });

  test('are what a template left behind, and nothing else is said of it', () => {
    const said = vi.spyOn(process, 'emitWarning');
    const cwd = folderWith('serve:', '  policy: {{ .Values.policy }}');
    expect(problemsOf(() => loadConfig({ env: {}, cwd }))).toHaveLength(1);
    expect(said).not.toHaveBeenCalled();
    said.mockRestore();
  });

  test('are a key that rules in a variable have twice, of which the last would count', () => {
    const rules = '[{"from":"CN","match":"worker-1","match":"(.*)","as":"worker/a"}]';
    expect(problemsOf(() => loadConfig({ env: { CERTGATE_IDENTITY_RULES: rules }, cwd: folderWith('#') }))).toEqual([
      'CERTGATE_IDENTITY_RULES | match stands twice in one {…} | remove one of them',
    ]);
  });

  test('name the section where a misplaced key belongs', () => {
    expect(problemsOf(() => loadConfig({ env: {}, cwd: folderWith('upstream: http://127.0.0.1:4200') }))).toEqual([
      'certgate.yaml:1:1 | there is no setting upstream | did you mean serve.upstream?',
    ]);
  });

  test.each([
    '__proto__: 1',
    'constructor: 1',
    'serve: {__proto__: {drain: 1s}}',
    'serve: {toString: x}',
    '? [a]\n: b',
    '5: 6',
  ])('are what keys that mean something to JavaScript or YAML are: %j', (line) =>
    expect(problemsOf(() => loadConfig({ env: {}, cwd: folderWith(line) }))).toHaveLength(1),
  );

  test('are a value that is left empty, a list for a text, and a text for a list', () => {
    const cwd = folderWith('serve:', '  listen:', '  upstream: [a]', '  names: gate.example');
    expect(problemsOf(() => loadConfig({ env: {}, cwd }))).toEqual([
      expect.stringMatching(/^certgate\.yaml:2:\d+ \| serve\.listen is empty; /),
      expect.stringMatching(/^certgate\.yaml:3:13 \| serve\.upstream is \["a"\]; /),
      expect.stringMatching(/^certgate\.yaml:4:10 \| serve\.names is "gate.example"; /),
    ]);
  });

  test('are a certificate without its key, and the other way round', () => {
    const cwd = folderWith('connect:', '  cert: tls.crt');
    expect(problemsOf(() => loadConfig({ env: {}, cwd }))).toEqual([
      'certgate.yaml:2:9 | connect.cert is set without connect.key | set connect.key too, or connect.identityDir for both',
    ]);
    expect(problemsOf(() => loadConfig({ env: {}, flags: { 'connect.key': 'k' }, cwd }))).toEqual([]);
  });

  test('are a password in two places, of which another reader could take the other; in one of them it is none', () => {
    const cwd = folderWith('serve:', '  authStringFile: password');
    const env = { CERTGATE_SERVE_AUTH_STRING: 'admin:hunter2' };
    expect(problemsOf(() => loadConfig({ env, cwd }))).toEqual([
      expect.stringMatching(
        /^CERTGATE_SERVE_AUTH_STRING \| .*both set \| unset CERTGATE_SERVE_AUTH_STRING or certgate\.yaml:2:19$/,
      ),
    ]);
    expect(loadConfig({ env: {}, cwd }).serve.authStringFile).toBe(join(cwd, 'password'));
    expect(loadConfig({ env, cwd: folderWith('#') }).serve.authString).toBe('admin:hunter2');
  });

  test('never hold the secret they are about', () => {
    const inFile = problemsOf(() => loadConfig({ env: {}, cwd: folderWith('serve:', '  authString: hunter2') }));
    expect(inFile).toEqual([expect.stringMatching(/^certgate\.yaml:2:3 \| serve\.authString is a secret/)]);
    const odd = problemsOf(() =>
      loadConfig({ env: { CERTGATE_SERVE_AUTH_STRING: 'hunter2\n' }, cwd: folderWith('#') }),
    );
    expect(odd).toEqual([
      expect.stringMatching(/^CERTGATE_SERVE_AUTH_STRING \| serve\.authString is not shown here; /),
    ]);
    const both = { CERTGATE_SERVE_AUTH_STRING: 'hunter2', CERTGATE_SERVE_AUTH_STRING_FILE: 'f' };
    expect(problemsOf(() => loadConfig({ env: both, cwd: folderWith('#') }))).toHaveLength(1);
    for (const problem of [...inFile, ...odd]) expect(problem).not.toContain('hunter2');
  });

  test('are a socket in a folder that is too deep for it', () => {
    const cwd = folderWith('connect:', `  listen: unix:${'x'.repeat(104)}`, 'serve:', '  upstream: unix:p.sock');
    expect(problemsOf(() => loadConfig({ env: {}, cwd }))).toEqual([
      expect.stringMatching(/^certgate\.yaml:2:11 \| connect\.listen is "unix:x+", 1\d\d octets with its folder; /),
    ]);
  });

  test('are an address with a zone where a certificate is to say it', () => {
    const env = { CERTGATE_SERVE_NAMES: 'gate.example,fe80::1%lo', CERTGATE_CONNECT_SERVER_NAME: 'fe80::1%lo' };
    expect(problemsOf(() => loadConfig({ env, cwd: folderWith('#') }))).toEqual([
      expect.stringMatching(/^CERTGATE_SERVE_NAMES \| serve\.names\[1\] is "fe80::1%lo"; /),
      expect.stringMatching(/^CERTGATE_CONNECT_SERVER_NAME \| /),
    ]);
  });

  test('are told once where one value misses a rule in two ways', () => {
    const cwd = folderWith('serve:', "  names: ''", '  workers: 9007199254740993', 'identity:', '  rules: []');
    expect(problemsOf(() => loadConfig({ env: {}, cwd }))).toHaveLength(3);
  });

  test('are not the variables that Kubernetes sets beside a service called certgate', () => {
    const env = {
      CERTGATE_SERVICE_HOST: '10.0.0.1',
      CERTGATE_SERVICE_PORT: '8443',
      CERTGATE_SERVICE_PORT_HTTPS: '8443',
      CERTGATE_PORT: 'tcp://10.0.0.1:8443',
      CERTGATE_PORT_8443_TCP: 'tcp://10.0.0.1:8443',
      CERTGATE_PORT_8443_TCP_PROTO: 'tcp',
      CERTGATE_PORT_8443_TCP_PORT: '8443',
      CERTGATE_PORT_8443_TCP_ADDR: '10.0.0.1',
      CERTGATE_GATE_SERVICE_HOST: '10.0.0.1',
    };
    expect(problemsOf(() => loadConfig({ env, cwd: folderWith('#') }))).toEqual([]);
    // Settings that somebody guessed; Kubernetes has other values there.
    const guessed = { CERTGATE_PORT: '9000', CERTGATE_LISTEN_PORT: '9000', CERTGATE_SERVICE_HOST: 'gate.example' };
    expect(problemsOf(() => loadConfig({ env: guessed, cwd: folderWith('#') }))).toHaveLength(3);
    expect(problemsOf(() => loadConfig({ env: { CERTGATE_SERVE_PORT: 'high' }, cwd: folderWith('#') }))).toHaveLength(
      1,
    );
  });

  test('do not arise from aliases, whose values count at their own place', () => {
    const cwd = folderWith('serve: {drain: &d 7s}', 'connect: {drain: *d}');
    expect(loadConfig({ env: {}, cwd }).connect.drain).toBe(7000);
  });

  test.each([
    ['nothing, for a setting', 'serve: {policy: *none}', 'certgate.yaml:1:17', 'there is no &none'],
    ['nothing, for a section', 'serve: *none', 'certgate.yaml:1:8', 'there is no &none'],
    ['nothing, for an item', 'serve: {names: [*none]}', 'certgate.yaml:1:17', 'there is no &none'],
    ['what comes later', 'serve: {drain: *d}\nconnect: {drain: &d 7s}', 'certgate.yaml:1:16', 'there is no &d'],
    ['an address with a star', 'serve: {listen: *:80}', 'certgate.yaml:1:17', 'there is no &:80'],
    ['itself', 'identity: {rules: &r [*r]}', 'certgate.yaml:1:23', '*r stands in itself'],
    [
      'one thing too often',
      `identity:\n  rules:\n    - &r {from: spiffe}\n${'    - *r\n'.repeat(200)}`,
      'certgate.yaml:2:3',
      'its aliases (*name) write out too much',
    ],
  ])('are told of an alias of %s', (_what, text, place, problem) => {
    const problems = problemsOf(() => loadConfig({ env: {}, cwd: folderWith(text) }));
    expect(problems).toEqual([expect.stringContaining(`${place} | ${problem} |`)]);
  });
});
