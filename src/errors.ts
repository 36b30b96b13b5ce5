// The one catalogue of failures. Every error that a person or a peer can meet has a stable code, a process exit code,
// an HTTP status, a message that names the offending value and a hint that says what to do next.
// Messages are lower case and never carry a key, a token or a password. Scripts may rely on the codes: they never
// change their meaning, new ones are added. docs/errors.md is generated from this file.

import { constants } from 'node:os';

/** Process exit codes, the same for every command. 128+n is a signal's (certgate run). */
export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 2,
  refused: 3,
  notFound: 4,
  configuration: 5,
  storage: 6,
  network: 7,
  warnings: 8,
} as const;

/** Of an address to listen on that something else has. */
export const NO_SOCKET = 'what is there is not a socket';

/** The first of `names`, and how many more. */
function someOf(names: readonly string[]): string {
  const first = names.slice(0, 20).map(shown).join(', ');
  return names.length > 20 ? `${first} and ${names.length - 20} more` : first;
}

interface Entry<P> {
  /** What it means, one sentence, for docs/errors.md. */
  readonly about: string;
  readonly exit: number;
  readonly status: number;
  readonly message: (facts: P) => string;
  readonly hint: (facts: P) => string;
}

function entry<P>(e: Entry<P>): Entry<P> {
  return e;
}

export const catalogue = {
  CG_USAGE: entry<{ problem: string; remedy: string }>({
    about: 'The command line has an error.',
    exit: EXIT.usage,
    status: 400,
    message: (f) => f.problem,
    hint: (f) => f.remedy,
  }),
  CG_NODE: entry<{ version: string; oldest: string }>({
    about: 'This version of Node is too old for certgate.',
    exit: EXIT.usage,
    status: 500,
    message: (f) => `Node ${f.version} is too old: certgate needs ${f.oldest} or newer`,
    hint: () => 'install a newer Node, or put it first on PATH: node --version',
  }),
  CG_CONFIG: entry<{ problems: ReadonlyArray<{ place: string; problem: string; remedy: string }> }>({
    about: 'The configuration has errors; each is reported with its position and a remedy.',
    exit: EXIT.configuration,
    status: 500,
    message: (f) => f.problems.map((p) => `${p.place}: ${p.problem}`).join('\n'),
    hint: (f) => f.problems.map((p) => p.remedy).join('\n'),
  }),
  CG_CONFIG_FILE: entry<{ file: string; problem: string; remedy?: string }>({
    about: 'The given configuration file cannot be read.',
    exit: EXIT.configuration,
    status: 500,
    message: (f) => `the configuration file ${f.file} ${f.problem}`,
    hint: (f) => f.remedy ?? 'name another with --config FILE or CERTGATE_CONFIG, or make one: certgate init --dir DIR',
  }),
  CG_POLICY: entry<{ problems: ReadonlyArray<{ place: string; problem: string; remedy: string }> }>({
    about: 'The policy has errors; each is reported with its position and a remedy.',
    exit: EXIT.configuration,
    status: 500,
    message: (f) => f.problems.map((p) => `${p.place}: ${p.problem}`).join('\n'),
    hint: (f) => f.problems.map((p) => p.remedy).join('\n'),
  }),
  CG_POLICY_FILE: entry<{ file: string; problem: string }>({
    about: 'The given policy file cannot be read.',
    exit: EXIT.configuration,
    status: 500,
    message: (f) => `the policy ${f.file} ${f.problem}`,
    hint: () => 'name another with serve.policy or --policy FILE; docs/policy.md has one to start from',
  }),
  CG_POLICY_NONE: entry<Record<string, never>>({
    about: 'The command needs a policy, and the configuration names none.',
    exit: EXIT.configuration,
    status: 500,
    message: () => 'there is no policy: every admitted client may do everything',
    hint: () =>
      'name one in serve.policy of certgate.yaml, or here: certgate policy check FILE, certgate policy explain … --policy FILE; docs/policy.md has one to start from',
  }),
  CG_POLICY_TEST: entry<{
    tests: ReadonlyArray<{ place: string; identity: string; request: string; expect: 'allow' | 'deny' }>;
  }>({
    about: 'Tests in the policy fail, so the policy is not used.',
    exit: EXIT.refused,
    status: 500,
    message: (f) =>
      f.tests
        .map((t) => `${t.place}: ${t.identity} ${t.request} is not ${t.expect === 'allow' ? 'allowed' : 'denied'}`)
        .join('\n'),
    hint: (f) => f.tests.map((t) => `see why: certgate policy explain ${t.identity} ${t.request}`).join('\n'),
  }),
  CG_OPENAPI: entry<{ source: string; problem: string }>({
    about: "The source is not a Prefect server's openapi.json, or cannot be read.",
    exit: EXIT.failure,
    status: 500,
    message: (f) => `${shown(f.source)} ${f.problem}`,
    hint: () =>
      'a Prefect server has it at /api/openapi.json: certgate policy sync --from http://127.0.0.1:4200/api/openapi.json',
  }),
  CG_FILE: entry<{ path: string; problem: string; remedy?: string }>({
    about: 'The operating system refused to read or write a file or folder.',
    exit: EXIT.failure,
    status: 500,
    message: (f) => `${f.path}: ${f.problem}`,
    hint: (f) => f.remedy ?? `look at it with \`ls -lad ${shellWord(f.path)}\``,
  }),
  CG_INSPECT: entry<{ what: string; problem: string }>({
    about: 'This is nothing that certgate can inspect.',
    exit: EXIT.usage,
    status: 400,
    message: (f) => `cannot inspect ${shown(f.what)}: it ${f.problem}`,
    hint: () =>
      'give a file in PEM or DER, or host:port: `certgate inspect worker-etl-1/tls.crt`, `certgate inspect gate.example:8443`',
  }),
  CG_PEER: entry<{ peer: string; problem: string }>({
    about: 'A TLS server cannot be reached, or the TLS handshake fails.',
    exit: EXIT.network,
    status: 502,
    message: (f) => `no TLS connection to ${f.peer}: ${f.problem}`,
    hint: (f) => `check that it listens there and speaks TLS 1.2 or 1.3: \`openssl s_client -connect ${f.peer}\``,
  }),
  CG_INTERNAL: entry<{ problem: string }>({
    about: 'A bug in certgate.',
    exit: EXIT.failure,
    status: 500,
    message: (f) => `internal error: ${f.problem}`,
    hint: () => 'this is a bug in certgate: report it with the message above; see SECURITY.md if it looks exploitable',
  }),

  // observe
  CG_AUDIT_UNWRITABLE: entry<{ path: string; reason: string }>({
    about: 'The gate cannot write its record; it refuses writes until it can.',
    exit: EXIT.storage,
    status: 503,
    message: (f) => `the record ${f.path} cannot be written: ${f.reason}`,
    hint: (f) => `free space on its disk, or make the gate's user its owner again: ls -l ${shellWord(f.path)}`,
  }),
  CG_AUDIT_UNREADABLE: entry<{ path: string; reason: string }>({
    about: "The gate's record cannot be read.",
    exit: EXIT.storage,
    status: 500,
    message: (f) => `the record ${f.path} cannot be read: ${f.reason}`,
    hint: () =>
      "it is in the gate's state folder, with mode 0600: run certgate audit as the gate's user, with the same certgate.yaml, and without a FILE",
  }),
  CG_AUDIT_TAMPERED: entry<{ problems: number; first: string }>({
    about: "The record, or the CA's log of its acts, was changed after it was written.",
    exit: EXIT.refused,
    status: 500,
    message: (f) =>
      `the record was changed after it was written, in ${f.problems} ${f.problems === 1 ? 'place' : 'places'}: ${f.first}`,
    hint: () =>
      'keep the files unchanged for the investigation, and compare them with a backup: certgate audit --verify FILE',
  }),
  CG_AUDIT_CHECKPOINT: entry<{ file: string; problem: string }>({
    about: 'The record has no checkpoint, or the file is not a checkpoint.',
    exit: EXIT.notFound,
    status: 500,
    message: (f) => `${f.file}: ${f.problem}`,
    hint: () =>
      'checkpoints are signed by a running gate (certgate serve); then certgate audit --checkpoint FILE saves the newest',
  }),
  CG_AUDIT_EXPORT: entry<{ to: string; reason: string }>({
    about: 'A collector does not accept the record.',
    exit: EXIT.network,
    status: 502,
    message: (f) => `${f.to} does not accept the record: ${f.reason}`,
    hint: () => 'nothing is lost: fix the collector and run the export again with the same --cursor',
  }),

  // proxy, inbound, outbound
  CG_LISTEN: entry<{ address: string; reason: string; flag?: string }>({
    about: 'The address to listen on cannot be bound.',
    exit: EXIT.network,
    status: 500,
    message: (f) => `cannot listen on ${f.address}: ${f.reason}`,
    hint: ({ address, reason, flag = '--listen' }) => {
      if (reason === NO_SOCKET) return `look at it, and move it out of the way: ls -ld ${shellWord(address)}`;
      if (reason.startsWith(`${address}.lock: `) && !/EACCES|ENOENT/.test(reason)) {
        return `this user must be able to write that file, or it must not exist: ls -l ${shellWord(`${address}.lock`)}`;
      }
      if (address.startsWith('/') && /EACCES|ENOENT/.test(reason)) {
        return `its folder must exist, and this user must be able to write to it: ls -ld ${shellWord(address.replace(/(?<=.)\/[^/]*$/, ''))}`;
      }
      if (reason.includes('EACCES')) {
        return `a port below 1024 needs AmbientCapabilities=CAP_NET_BIND_SERVICE in a unit (docs/operations.md); or choose one above with ${flag} HOST:PORT`;
      }
      if (reason.includes('choose a shorter stateDir'))
        return 'set stateDir, or CERTGATE_STATE_DIR, to a folder with a shorter path';
      if (/ENOTFOUND|EAI_AGAIN/.test(reason)) {
        const name = shellWord(address.replace(/:\d+$/, ''));
        return `see what the name stands for: getent hosts ${name}; or give an address with ${flag} HOST:PORT`;
      }
      if (reason.includes('EADDRNOTAVAIL')) {
        return `this machine does not have that address: choose one that \`ip -brief address\` shows, with ${flag} HOST:PORT`;
      }
      const [form, shows] = address.startsWith('/') ? ['unix:/PATH', 'ss -lxp'] : ['HOST:PORT', 'ss -ltnp'];
      return `choose another with ${flag} ${form}, or stop what listens there: ${shows}`;
    },
  }),
  CG_PASSED_SOCKET: entry<{ name: string; problem: string; remedy: string }>({
    about: 'The socket to listen on, which systemd was to pass, was not passed, or cannot be listened on.',
    exit: EXIT.network,
    status: 500,
    message: (f) => `cannot listen on ${f.name}: ${f.problem}`,
    hint: (f) => f.remedy,
  }),
  CG_AUTH_STRING_FILE: entry<{ file: string; problem: string }>({
    about: "The file with the Prefect server's auth string cannot be used.",
    exit: EXIT.configuration,
    status: 500,
    message: (f) => `the auth string file ${f.file} ${f.problem}`,
    hint: () => "put the value of PREFECT_SERVER_API_AUTH_STRING into it, and let the gate's user read it",
  }),
  CG_GATE_RUNNING: entry<{ socket: string }>({
    about: 'Another gate is already running on this state folder.',
    exit: EXIT.failure,
    status: 500,
    message: (f) => `another gate is already running on this state folder: ${f.socket}`,
    hint: () => 'stop that gate first, or give this one its own state folder (stateDir)',
  }),
  CG_GATE_ANSWER: entry<{ socket: string; reason: string; remedy?: string }>({
    about: 'No gate is running on this state folder, or its control socket did not answer as expected.',
    exit: EXIT.network,
    status: 502,
    message: (f) => `the gate at ${f.socket} did not answer: ${f.reason}`,
    hint: (f) =>
      f.remedy ??
      'if no gate is running, start one (certgate serve), or name its configuration with --config FILE; otherwise look at its log',
  }),
  CG_WORKER: entry<{ reason: string }>({
    about: 'A worker process of the gate could not start, or exited before it was ready.',
    exit: EXIT.failure,
    status: 500,
    message: (f) => `a worker of the gate did not start: ${f.reason}`,
    hint: () => 'see the log above; `certgate serve --workers 1` runs the gate in one process',
  }),
  CG_CREDENTIALS: entry<{ file: string; reason: string; remedy?: string }>({
    about: 'The certificate, key or trust bundle of the outbound sidecar cannot be used.',
    exit: EXIT.configuration,
    status: 500,
    message: (f) => (f.file === '' ? f.reason : `${f.file}: ${f.reason}`),
    hint: (f) =>
      f.remedy ??
      "name a folder with tls.crt, tls.key and ca.crt with --identity DIR; to make one, on the CA's machine: certgate issue worker/NAME --out DIR",
  }),
  CG_RENEWAL: entry<{ dir: string; reason: string; gate?: string }>({
    about: 'A certificate was not renewed: the gate could not be reached, or the folder not be written. Try again.',
    exit: EXIT.network,
    status: 502,
    message: (f) => `the certificate in ${f.dir} was not renewed: ${f.reason}`,
    hint: (f) =>
      `the current one stays in place; ${f.gate === undefined ? `to see when it expires: certgate inspect ${shellWord(`${f.dir}/tls.crt`)}` : `to see when it expires, and what is wrong: certgate doctor --gate ${f.gate} --identity ${shellWord(f.dir)}`}`,
  }),
  CG_RENEWAL_REFUSED: entry<{ reason: string }>({
    about: 'The gate refused to renew a certificate: it has expired, is revoked or locked, or was renewed before.',
    exit: EXIT.refused,
    status: 403,
    message: (f) => `the gate refused to renew it: ${f.reason}`,
    hint: () =>
      'use a new token, made on the CA’s machine (certgate token create NAME): certgate enroll --token-file FILE --out DIR --force',
  }),
  CG_HOOK: entry<{ command: string }>({
    about: 'The certificate was renewed, but the --exec command then failed.',
    exit: EXIT.failure,
    status: 500,
    message: (f) => `the certificate was renewed, but then ${shown(f.command)} failed`,
    hint: () => 'the log line above says why; run the command by hand: the new certificate is in place',
  }),
  CG_CONNECT_GATE: entry<Record<string, never>>({
    about: 'The outbound sidecar does not know where the gate is.',
    exit: EXIT.configuration,
    status: 500,
    message: () => 'no gate to connect to',
    hint: () =>
      'name it: --gate https://HOST:8443, or CERTGATE_CONNECT_GATE, or connect.gate in certgate.yaml; or give a token, which contains it: --token-file FILE',
  }),
  CG_UNSAFE_LISTEN: entry<{ address: string }>({
    about: 'The outbound sidecar would listen where other machines could use its certificate.',
    exit: EXIT.configuration,
    status: 500,
    message: (f) => `${f.address} is not a loopback address: whoever can reach it could use this certificate`,
    hint: () =>
      'listen on 127.0.0.1 or a unix socket, or use --unsafe-listen if only trusted programs can reach the address',
  }),
  CG_COMMAND: entry<{ command: string; reason: string }>({
    about: 'The command given to certgate run cannot be started.',
    exit: 127,
    status: 500,
    message: (f) => `cannot start ${f.command}: ${f.reason}`,
    hint: () => 'check the command after --, e.g. certgate run -- prefect worker start --pool etl',
  }),

  // identity
  CG_IDENTITY_NAME: entry<{ name: string }>({
    about: 'The text is not an identity name.',
    exit: EXIT.usage,
    status: 400,
    message: (f) => `not an identity name: ${shown(f.name)}`,
    hint: () =>
      'a name is worker/…, user/… or service/… in lower case, e.g. worker/etl-1, user/alice or service/data/ci (2 to 4 segments of [a-z0-9._-], 128 characters at most)',
  }),
  CG_TRUST_DOMAIN: entry<{ trustDomain: string }>({
    about: 'The text is not a trust domain.',
    exit: EXIT.usage,
    status: 400,
    message: (f) => `not a trust domain: ${shown(f.trustDomain)}`,
    hint: () =>
      'use lower-case labels of [a-z0-9_-] joined by dots, 255 characters at most, not an address, e.g. prefect.example.com',
  }),
  CG_IDENTITY_RULE: entry<{ rule: string; problem: string }>({
    about: 'A rule of identity.rules cannot be used.',
    exit: EXIT.configuration,
    status: 500,
    message: (f) => `${f.rule}: ${f.problem}`,
    hint: () =>
      "a rule is {from: spiffe} or, e.g., {from: CN, match: 'etl-([a-z0-9-]+)', as: 'worker/$1'}; patterns match the whole value",
  }),
  CG_IDENTITY_NONE: entry<{ reason: string }>({
    about: 'No rule of identity.rules finds an identity in the certificate.',
    exit: EXIT.refused,
    status: 403,
    message: (f) => `the certificate yields no identity: ${f.reason}`,
    hint: () =>
      '`certgate inspect FILE` shows what certgate reads in it; identity.rules in certgate.yaml decides what counts',
  }),
  CG_IDENTITY_AMBIGUOUS: entry<{ reason: string }>({
    about: 'The certificate names more than one identity.',
    exit: EXIT.refused,
    status: 403,
    message: (f) => `the certificate names more than one identity: ${f.reason}`,
    hint: () => 'issue a new one with a single name: `certgate issue worker/etl-1`',
  }),
  CG_IDENTITY_FOREIGN: entry<{ reason: string }>({
    about: "The certificate's SPIFFE ID belongs to another trust domain.",
    exit: EXIT.refused,
    status: 403,
    message: (f) => `the certificate belongs to another trust domain: ${f.reason}`,
    hint: () =>
      'use a certificate issued by this certgate, or map the other trust domain with a rule {from: URI, …} before {from: spiffe}',
  }),
  CG_IDENTITY_ODD: entry<{ reason: string }>({
    about: 'The name in the certificate is not a valid identity name.',
    exit: EXIT.refused,
    status: 403,
    message: (f) => `the certificate's name is not valid: ${f.reason}`,
    hint: () => '`certgate inspect FILE` shows what certgate reads in it; names look like worker/etl-1',
  }),
  CG_IDENTITY_RESERVED: entry<{ reason: string }>({
    about: "A client used one of certgate's own certificates.",
    exit: EXIT.refused,
    status: 403,
    message: (f) => `the certificate may not act as a client: ${f.reason}`,
    hint: () => 'gate/… is only for server certificates: issue the client its own, `certgate issue worker/etl-1`',
  }),

  // pki
  CG_PEM: entry<{ label: string; problem: string }>({
    about: 'The text is not the expected PEM.',
    exit: EXIT.failure,
    status: 400,
    message: (f) => `no usable PEM of a ${f.label}: ${f.problem}`,
    hint: (f) => `expected one block from -----BEGIN ${f.label}----- to -----END ${f.label}-----`,
  }),
  CG_KEY_UNREADABLE: entry<{ problem: string; remedy: string }>({
    about: 'The private key cannot be read or used.',
    exit: EXIT.failure,
    status: 400,
    message: (f) => `private key unreadable: ${f.problem}`,
    hint: (f) => f.remedy,
  }),
  CG_PASSPHRASE: entry<{ problem: string; remedy: string }>({
    about: 'A private key is encrypted and its passphrase is missing, unusable or wrong.',
    exit: EXIT.configuration,
    status: 503,
    message: (f) => f.problem,
    hint: (f) => f.remedy,
  }),
  CG_SIGNER: entry<{ signer: string; problem: string }>({
    about: "The signer that holds the CA's key does not answer, or not as expected; nothing was signed.",
    exit: EXIT.network,
    status: 503,
    message: (f) => `the signer at ${f.signer} ${f.problem}`,
    hint: () =>
      'check that `certgate signer` is running there, and see its log; a gate that is already serving goes on without it',
  }),
  CG_SIGNER_KEY: entry<{ signer: string; problem: string; remedy?: string }>({
    about: 'The signer does not hold that CA key.',
    exit: EXIT.configuration,
    status: 503,
    message: (f) => `the signer at ${f.signer} ${f.problem}`,
    hint: (f) => f.remedy ?? 'start it with the key: `certgate signer --key FILE`, once for each key',
  }),
  CG_SIGNER_REFUSED: entry<{ problem: string }>({
    about:
      'The signer refuses to sign this: it signs leaf certificates of its own trust domain, CRLs, OCSP responses and requests.',
    exit: EXIT.refused,
    status: 403,
    message: (f) => `the signer does not sign this: ${f.problem}`,
    hint: () => 'its flags decide what it signs: `certgate signer --help`',
  }),
  CG_PKCS11: entry<{ uri: string; problem: string }>({
    about: 'A key in a PKCS#11 token cannot be used.',
    exit: EXIT.configuration,
    status: 503,
    message: (f) => `${f.uri}: ${f.problem}`,
    hint: () => 'see what is on the token: `pkcs11-tool --module MODULE --list-token-slots` and `--list-objects`',
  }),
  CG_KEY_MISMATCH: entry<{ subject: string }>({
    about: 'The private key does not belong to the certificate.',
    exit: EXIT.failure,
    status: 400,
    message: (f) => `the private key does not match the certificate of ${shown(f.subject)}`,
    hint: () => 'compare `openssl x509 -in CERT -noout -pubkey` with `openssl pkey -in KEY -pubout`',
  }),
  CG_CERT_UNREADABLE: entry<{ problem: string }>({
    about: 'The certificate is unreadable or ambiguous.',
    exit: EXIT.failure,
    status: 400,
    message: (f) => `certificate unreadable: ${f.problem}`,
    hint: () => 'look at it with `openssl x509 -in FILE -text -noout` and `openssl asn1parse -in FILE`',
  }),
  CG_CERT_CONTENT: entry<{ problem: string; remedy: string }>({
    about: 'A certificate with that content would break RFC 5280.',
    exit: EXIT.usage,
    status: 400,
    message: (f) => `no certificate can contain that: ${f.problem}`,
    hint: (f) => f.remedy,
  }),
  CG_CSR_UNREADABLE: entry<{ problem: string }>({
    about: 'The certificate signing request cannot be read.',
    exit: EXIT.failure,
    status: 400,
    message: (f) => `certificate signing request unreadable: ${f.problem}`,
    hint: () =>
      'make one with `openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout tls.key -subj /CN=etl-1 -out tls.csr`',
  }),
  CG_CSR_SIGNATURE: entry<{ problem: string }>({
    about: 'The certificate signing request does not prove possession of its key.',
    exit: EXIT.refused,
    status: 400,
    message: (f) => `certificate signing request not proved: ${f.problem}`,
    hint: () => 'check it with `openssl req -in FILE -verify -noout`, and make a new one with the key that it is for',
  }),
  CG_CSR_KEY: entry<{ key: string }>({
    about: 'Keys of this type or size are not certified, or the key is known to be weak.',
    exit: EXIT.refused,
    status: 400,
    message: (f) => `key not accepted: ${f.key}`,
    hint: () =>
      'use P-256, P-384, Ed25519 or RSA of 2048 to 8192 bits, e.g. `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out tls.key`',
  }),
  CG_CSR_NAME: entry<{ problem: string; remedy: string }>({
    about: 'The certificate signing request asks for a name or a permission that the certificate would not have.',
    exit: EXIT.refused,
    status: 400,
    message: (f) => `certificate signing request asks for more than it gets: ${f.problem}`,
    hint: (f) => f.remedy,
  }),
  CG_KEY_BARRED: entry<{ problem: string }>({
    about: "The key must not be certified: it was revoked as compromised, or it is the CA's own.",
    exit: EXIT.refused,
    status: 403,
    message: (f) => `key not certified: ${f.problem}`,
    hint: () => 'make a new key: `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out tls.key`',
  }),
  CG_CRL_UNREADABLE: entry<{ problem: string; file?: string }>({
    about: 'The certificate revocation list cannot be read.',
    exit: EXIT.failure,
    status: 400,
    message: (f) => `certificate revocation list unreadable: ${f.file === undefined ? '' : `${f.file}: `}${f.problem}`,
    hint: () => 'name a list in PEM or DER: one that the gate has published, or that certgate crl export has written',
  }),

  // store
  CG_STORE_MISSING: entry<{ location: string }>({
    about: 'There is no store where certgate looks for it.',
    exit: EXIT.storage,
    status: 503,
    message: (f) => `no store at ${f.location}`,
    hint: () =>
      'run this in the folder of certgate.yaml, or give --config FILE or CERTGATE_STATE_DIR; if the store was lost, restore a backup; if there never was one: `certgate init --dir DIR`',
  }),
  CG_STORE_EXISTS: entry<{ location: string }>({
    about: 'There is already something where a new store was to be made.',
    exit: EXIT.refused,
    status: 409,
    message: (f) => `${f.location} exists already`,
    hint: () => 'certgate never overwrites a store: choose another place with `certgate init --dir DIR`',
  }),
  CG_STORE_FOREIGN: entry<{ location: string; problem: string }>({
    about: 'The file is not a certgate store.',
    exit: EXIT.storage,
    status: 503,
    message: (f) => `${f.location} is not a certgate store: ${f.problem}`,
    hint: (f) => `look at it with \`file ${f.location}\`; move it away and restore a backup, or name another stateDir`,
  }),
  CG_STORE_NEWER: entry<{ location: string; found: number; known: number }>({
    about: 'The store was written by a newer certgate.',
    exit: EXIT.storage,
    status: 503,
    message: (f) =>
      `${f.location} was written by a newer certgate: it has schema version ${f.found}, this one knows ${f.known} at most`,
    hint: () =>
      'run the certgate that wrote it, or a newer one (compare `certgate --version`); to stay with this one, restore a backup from before the upgrade: certgate restore BACKUP --dir DIR',
  }),
  CG_STORE_OLDER: entry<{ location: string; found: number; known: number }>({
    about: 'The store was written by an older certgate and is opened read-only, so it cannot be upgraded.',
    exit: EXIT.storage,
    status: 503,
    message: (f) => `${f.location} has schema version ${f.found}, this certgate reads ${f.known}`,
    hint: () =>
      "let a command that may write open it once, as the store's owner: start the gate, or run `certgate ca status`",
  }),
  CG_STORE_CORRUPT: entry<{ location: string; problem: string }>({
    about: 'The store is damaged.',
    exit: EXIT.storage,
    status: 503,
    message: (f) => `${f.location} is damaged: ${f.problem}`,
    hint: (f) =>
      `stop certgate, keep a copy of ${f.location}*, then restore a backup or try \`sqlite3 ${f.location} .recover\``,
  }),
  CG_STORE_LOST: entry<{ location: string; problem: string }>({
    about: 'The store was moved, deleted or replaced while it was open: what this process sees is out of date.',
    exit: EXIT.storage,
    status: 503,
    message: (f) => `the open store is gone: ${f.location} ${f.problem}`,
    hint: () =>
      'stop every certgate that has it open, put the store and its -wal file back, or restore a backup, then start again',
  }),
  CG_STORE_BUSY: entry<{ location: string; waited: number }>({
    about: 'Another process kept the store locked for too long.',
    exit: EXIT.storage,
    status: 503,
    message: (f) => `${f.location} was locked by another process for ${f.waited} ms`,
    hint: (f) => `see who holds it with \`fuser -v ${shellWord(f.location)}\`, then try again`,
  }),
  CG_STORE_FULL: entry<{ location: string; problem: string }>({
    about: 'There is no space left to write to the store; nothing was changed.',
    exit: EXIT.storage,
    status: 507,
    message: (f) => `no space to write ${f.location}: ${f.problem}`,
    hint: (f) => `free some space and try again: \`df -h ${shellWord(f.location)}\``,
  }),
  CG_STORE_READONLY: entry<{ location: string; problem: string }>({
    about: 'The store cannot be written by this process; nothing was changed.',
    exit: EXIT.storage,
    status: 503,
    message: (f) => `${f.location} cannot be written: ${f.problem}`,
    hint: (f) =>
      `run as the owner of the store and its folder, on a file system mounted read-write: \`ls -la ${shellWord(f.location)}*\``,
  }),
  CG_STORE_IO: entry<{ location: string; problem: string; remedy?: string }>({
    about: 'The operating system refused to read or write the store; nothing was changed.',
    exit: EXIT.storage,
    status: 503,
    message: (f) => `${f.location} cannot be used: ${f.problem}`,
    hint: (f) =>
      f.remedy ??
      `check the path, the permissions and the disk: \`ls -la ${shellWord(f.location)}*\`, \`dmesg | tail\``,
  }),
  CG_STORE_CLOSED: entry<{ location: string }>({
    about: 'The store was used after it was closed.',
    exit: EXIT.failure,
    status: 503,
    message: (f) => `the store at ${f.location} is closed`,
    hint: () => 'certgate is shutting down: try again once it is back',
  }),
  CG_STORE_SERIAL_TAKEN: entry<{ serial: string }>({
    about: 'A certificate with that serial number is already on record.',
    exit: EXIT.refused,
    status: 409,
    message: (f) => `serial number ${f.serial} is taken`,
    hint: () =>
      "try again: serial numbers are random; if it happens twice, this machine's random number generator is broken",
  }),

  // backup and restore
  CG_FOLDER_TAKEN: entry<{ path: string; problem: string }>({
    about: 'There is already something where the backup or the restored CA was to go; nothing was changed.',
    exit: EXIT.refused,
    status: 409,
    message: (f) => `${f.path} ${f.problem}`,
    hint: () => 'certgate never overwrites: name a folder that does not exist yet, or an empty one',
  }),
  CG_BACKUP_WRITE: entry<{ path: string; problem: string; folder: string }>({
    about: 'A backup, or what is restored from one, cannot be written; nothing of the attempt is left behind.',
    exit: EXIT.storage,
    status: 507,
    message: (f) => `${f.path} cannot be written: ${f.problem}`,
    hint: (f) =>
      `free some space, and check who may write there: \`df -h ${shellWord(f.folder)}\`, \`ls -ld ${shellWord(f.folder)}\``,
  }),
  CG_BACKUP_UNUSABLE: entry<{ path: string; problem: string }>({
    about: 'The folder to restore is not a certgate backup, or is damaged or incomplete; nothing was restored.',
    exit: EXIT.failure,
    status: 400,
    message: (f) => `${f.path} ${f.problem}`,
    hint: () => 'use another copy of it, or an older backup: a folder made by `certgate backup`, with manifest.json',
  }),
  CG_CRL_NEEDED: entry<{ problem: string }>({
    about:
      'A restored store does not know what was revoked after the backup, and no revocation list was given that does.',
    exit: EXIT.refused,
    status: 400,
    message: (f) => f.problem,
    hint: () =>
      'give the newest revocation list that you can find, with --crl FILE or --crl http://…; use --without-crl only if there is none',
  }),
  CG_CRL_FETCH: entry<{ url: string; problem: string }>({
    about: 'A revocation list cannot be fetched.',
    exit: EXIT.network,
    status: 502,
    message: (f) => `no revocation list from ${shown(f.url)}: ${f.problem}`,
    hint: () => 'get it some other way, from anyone who has a copy, and name the file: --crl FILE',
  }),
  CG_CRL_FOREIGN: entry<{ crl: string; problem: string }>({
    about: 'A revocation list was not signed by an issuer of the backup.',
    exit: EXIT.refused,
    status: 400,
    message: (f) => `${shown(f.crl)} ${f.problem}`,
    hint: (f) =>
      `look at it with \`certgate inspect ${shellWord(f.crl)}\`: its key id must be the one of certs/issuer.crt`,
  }),
  CG_CRL_NUMBER: entry<{ crl: string; problem: string }>({
    about: 'A revocation list is older than one that the backup knows, or has no usable number.',
    exit: EXIT.refused,
    status: 400,
    message: (f) => `${shown(f.crl)} ${f.problem}`,
    hint: () => 'find the newest list: anyone who checks revocation against this CA has a copy',
  }),

  // authority
  CG_TTL: entry<{ ttl: string; problem: string; remedy: string }>({
    about: 'A certificate cannot be issued for so long or so short a time.',
    exit: EXIT.usage,
    status: 400,
    message: (f) => `lifetime ${f.ttl} ${f.problem}`,
    hint: (f) => f.remedy,
  }),
  CG_PROFILE: entry<{ identity: string; problem: string }>({
    about: 'That identity cannot have a certificate with that profile.',
    exit: EXIT.usage,
    status: 400,
    message: (f) => `no such certificate for ${shown(f.identity)}: ${f.problem}`,
    hint: () => 'gate/… is for server certificates; worker/…, user/… and service/… are for client certificates',
  }),
  CG_LOCKED: entry<{ identity: string; lock: string; reason: string; unlock: string }>({
    about: 'No certificate is issued to an identity while it, or everyone, is locked.',
    exit: EXIT.refused,
    status: 403,
    message: (f) => `no certificate for ${shown(f.identity)}: ${f.lock}: ${shown(f.reason)}`,
    hint: (f) => `\`certgate locks\` shows who locked it; to end the lock: \`certgate unlock ${f.unlock}\``,
  }),
  CG_LOCK_GATE: entry<{ what: string }>({
    about: "The gate's own certificate cannot be locked: a gate that could not renew it would stop serving.",
    exit: EXIT.usage,
    status: 400,
    message: (f) => `the gate's own certificate is never locked: ${f.what}`,
    hint: () => 'to keep everyone out, use `certgate lock all --reason TEXT`; to take the gate down, stop it',
  }),
  CG_LOCK_TIME: entry<{ time: string }>({
    about: 'A lock cannot last so long or so short a time.',
    exit: EXIT.usage,
    status: 400,
    message: (f) => `a lock cannot last ${f.time}: it lasts from 1s to 365d, or until it is removed`,
    hint: () => 'use --for 2h, or omit --for; to keep somebody out for good, use `certgate revoke`',
  }),
  CG_SERIAL: entry<{ serial: string }>({
    about: 'The text is not a serial number.',
    exit: EXIT.usage,
    status: 400,
    message: (f) => `not a serial number: ${shown(f.serial)}`,
    hint: () => 'a serial number is 1 to 40 hexadecimal digits, as `certgate list` prints it; colons are accepted',
  }),
  CG_NOT_FOUND: entry<{ what: string; problem: string; remedy?: string }>({
    about: 'Nothing in the store matches.',
    exit: EXIT.notFound,
    status: 404,
    message: (f) => `${f.what}: ${f.problem}`,
    hint: (f) => f.remedy ?? 'see what there is with `certgate list`',
  }),
  CG_CA_EXISTS: entry<{ files: readonly string[]; remedy?: string }>({
    about: 'There is already a CA, or part of one, where a new one was to be made; nothing was changed.',
    exit: EXIT.refused,
    status: 409,
    message: (f) => `there is already ${f.files.join(', ')}`,
    hint: (f) => f.remedy ?? 'certgate never overwrites a CA: choose another folder with `certgate init --dir DIR`',
  }),
  CG_CA_FILE: entry<{ file: string; problem: string; remedy?: string }>({
    about: "A file of the CA's certificates and keys cannot be read or written.",
    exit: EXIT.configuration,
    status: 503,
    message: (f) => `${f.file} ${f.problem}`,
    hint: (f) =>
      f.remedy ??
      `run this in the folder of certgate.yaml, or give --config FILE or CERTGATE_CERTS_DIR; if it was lost, restore it from a backup, as \`certgate ca check\` says${f.file.endsWith('.key') ? '; if a signer holds it, set ca.signer' : ''}`,
  }),
  CG_CA_MISMATCH: entry<{ problem: string; remedy: string }>({
    about: "The CA's files, or the CA and the store, do not belong together.",
    exit: EXIT.configuration,
    status: 503,
    message: (f) => f.problem,
    hint: (f) => f.remedy,
  }),
  CG_CA_CHANGED: entry<{ problem: string }>({
    about: 'Somebody else changed the CA at the same time; this command changed nothing.',
    exit: EXIT.refused,
    status: 409,
    message: (f) => `the CA was changed in the meantime: ${f.problem}`,
    hint: () => 'look at the CA with `certgate ca status`, then decide again',
  }),
  CG_CA_STEP: entry<{ problem: string; remedy: string }>({
    about: 'This is not the next step of the rotation; nothing was changed.',
    exit: EXIT.refused,
    status: 409,
    message: (f) => `this step cannot be taken now: ${f.problem}`,
    hint: (f) => `\`${f.remedy}\``,
  }),
  CG_CA_KEY: entry<{ file: string; role: string; problem: string }>({
    about: 'A CA key that is needed for signing is not where it should be, or is not the right one.',
    exit: EXIT.configuration,
    status: 503,
    message: (f) => `the ${f.role}'s key is needed, and ${f.file} ${f.problem}`,
    hint: () => 'bring it here for as long as it is needed, and name it: --root-key FILE',
  }),
  CG_CA_BUNDLE: entry<{ identities: readonly string[] }>({
    about: 'The new root cannot issue yet: somebody does not have the trust bundle that contains it.',
    exit: EXIT.refused,
    status: 409,
    message: (f) => `not everybody has the trust bundle with the new root yet: ${someOf(f.identities)}`,
    hint: () =>
      'connected sidecars fetch it within a minute: see `certgate ca status`; give the others the new ca.crt, then use --without-waiting',
  }),
  CG_CA_IN_USE: entry<{ root: number; identities: readonly string[] }>({
    about: 'The root cannot be retired: certificates that are still usable chain to it.',
    exit: EXIT.refused,
    status: 409,
    message: (f) => `root ${f.root} is still in use by ${someOf(f.identities)}`,
    hint: (f) =>
      `issue them new certificates, then wait until the old ones expire, or revoke them: \`certgate list ${f.identities[0] ?? ''}\`, \`certgate revoke --serial HEX --reason superseded\``,
  }),
  CG_CA_GIVEN: entry<{ file: string; problem: string; remedy?: string }>({
    about: "A company's CA certificate, key or signed issuer cannot be used for certgate's CA; nothing was changed.",
    exit: EXIT.configuration,
    status: 400,
    message: (f) => `${f.file} ${f.problem}`,
    hint: (f) =>
      f.remedy ??
      `give a PEM file with the certificate that signs the issuer and all above it, up to the root; look into it with \`certgate inspect ${shellWord(f.file)}\``,
  }),
  CG_CA_UNFINISHED: entry<{ problem: string; request: string | null }>({
    about: "The CA cannot issue: its issuer's certificate has yet to be signed elsewhere.",
    exit: EXIT.configuration,
    status: 503,
    message: (f) => `this CA cannot issue yet: ${f.problem}`,
    hint: (f) =>
      f.request === null
        ? 'make a request with `certgate ca csr`, have it signed as a CA (pathlen 0), then run `certgate ca import SIGNED.pem`'
        : `have ${f.request} signed as a CA (pathlen 0), then run \`certgate ca import SIGNED.pem\``,
  }),
  CG_CA_EXPIRED: entry<{ file: string; problem: string }>({
    about: "The CA's certificate is outside its validity period, so the CA cannot issue.",
    exit: EXIT.configuration,
    status: 503,
    message: (f) => `${f.file} ${f.problem}`,
    hint: () =>
      "check this machine's clock with `date -u`; if the issuer has expired, replace it with `certgate ca rotate issuer`",
  }),
  CG_KEY_MODE: entry<{ file: string; mode: string }>({
    about: 'Users other than its owner can read or change a private key.',
    exit: EXIT.configuration,
    status: 503,
    message: (f) => `${f.file} has mode ${f.mode}: users other than its owner can get at the key`,
    // A device's mode is the system's: all its users need /dev/null.
    hint: (f) => (f.file.startsWith('/dev/') ? 'name a file of your own, mode 0600' : `chmod 600 ${shellWord(f.file)}`),
  }),
  CG_TRUST_DOMAIN_MISMATCH: entry<{ configured: string; recorded: string; location: string }>({
    about: 'The configured trust domain is not the one that the store was made for.',
    exit: EXIT.configuration,
    status: 503,
    message: (f) => `trustDomain is ${shown(f.configured)}, but ${f.location} was made for ${shown(f.recorded)}`,
    hint: (f) => `set trustDomain: ${f.recorded} in certgate.yaml, or make another CA with \`certgate init --dir DIR\``,
  }),
  CG_OUT_EXISTS: entry<{ path: string; problem: string }>({
    about: 'The folder for a new certificate exists already; nothing was changed in it.',
    exit: EXIT.refused,
    status: 409,
    message: (f) => `${f.path} ${f.problem}`,
    hint: () => 'name another folder with --out DIR, or replace the certificate in it with --force',
  }),
  CG_OUT_UNUSABLE: entry<{ path: string; problem: string; remedy: string }>({
    about: 'The folder for a new certificate cannot be written or must not be replaced.',
    exit: EXIT.failure,
    status: 500,
    message: (f) => `${f.path} ${f.problem}`,
    hint: (f) => f.remedy,
  }),

  // enroll
  CG_GROUP: entry<{ group: string; problem: string }>({
    about: 'The group cannot be written into a certificate.',
    exit: EXIT.usage,
    status: 400,
    message: (f) => `the group ${shown(f.group)}: ${f.problem}`,
    hint: () =>
      'use up to 64 letters, digits and `_/ .:@+-`, 32 groups at most: `certgate issue user/alice --group data/etl`',
  }),

  CG_TOKEN: entry<{ problem: string; remedy: string }>({
    about: 'The text is not a token, or not a complete one.',
    exit: EXIT.usage,
    status: 400,
    message: (f) => `not a token: ${f.problem}`,
    hint: (f) => f.remedy,
  }),
  CG_TOKEN_SUBJECT: entry<{ subject: string; problem: string }>({
    about: 'No token can be made for that identity or pattern of identities.',
    exit: EXIT.usage,
    status: 400,
    message: (f) => `no token for ${shown(f.subject)}: ${f.problem}`,
    hint: () =>
      "name an identity, `certgate token create worker/etl-1`, or a pattern with its limit, `certgate token create 'worker/etl-*' --uses 50`",
  }),
  CG_TOKEN_SPENT: entry<{ token: string }>({
    about: 'The token has expired, was revoked or is used up.',
    exit: EXIT.refused,
    status: 403,
    message: (f) => `token ${f.token} can no longer be used`,
    hint: () => 'see `certgate token list`, and make another: `certgate token create worker/etl-1`',
  }),

  CG_RENEW_REFUSED: entry<{ serial: string }>({
    about: 'A certificate is not renewed if it is revoked, locked or not on record.',
    exit: EXIT.refused,
    status: 403,
    message: (f) => `certificate ${f.serial} is not renewed: it is revoked, locked or not on record`,
    hint: () => '`certgate list --state revoked` and `certgate locks` show which',
  }),
  CG_ENROLL_GATE: entry<{ gate: string; reason: string }>({
    about: 'The gate to enrol with cannot be reached, or cannot issue at the moment.',
    exit: EXIT.network,
    status: 503,
    message: (f) => `no certificate from ${f.gate}: ${f.reason}`,
    hint: (f) =>
      /^\d{3}: /.test(f.reason)
        ? 'the gate answers, and its log says why it issues none; try again when that is fixed'
        : `check that this machine can reach it: \`certgate inspect ${f.gate.replace(/^https:\/\//, '')}\``,
  }),
  CG_ENROLL_PIN: entry<{ gate: string; problem: string }>({
    about: 'The gate to enrol with is not the intended one; nothing was sent to it.',
    exit: EXIT.refused,
    status: 403,
    message: (f) => `${f.gate} is not the intended gate: ${f.problem}`,
    hint: () =>
      'a token is for one gate: `certgate token create worker/etl-1 --gate https://HOST:8443` makes one there; --fingerprint is the sha-256 that `certgate inspect certs/root.crt` shows there. If both are right, somebody is intercepting the connection',
  }),
  CG_ENROLL_REFUSED: entry<{ gate: string; reason: string }>({
    about: 'The gate refused the token or identity token; its log says why, its answer does not.',
    exit: EXIT.refused,
    status: 403,
    message: (f) => `${f.gate} gave no certificate: ${f.reason}`,
    hint: () =>
      'its log says why. A token may be used up, expired or revoked: see `certgate token list` there, and make another with `certgate token create`. An identity token may have been used already, be too old, be for another audience, or match no rule of enroll.issuers',
  }),
  CG_ENROLL_CA: entry<Record<string, never>>({
    about: 'The trust bundle to verify a gate with contains no root certificate.',
    exit: EXIT.usage,
    status: 400,
    message: () => 'there is no root certificate in the file that --ca names',
    hint: () => "give the gate's certs/ca.crt, or instead --fingerprint HEX, from `certgate inspect certs/root.crt`",
  }),
  CG_LOGIN: entry<{ issuer: string; problem: string; remedy?: string }>({
    about: "The login at the gate's identity provider did not succeed.",
    exit: EXIT.refused,
    status: 403,
    message: (f) => `not logged in at ${f.issuer}: ${f.problem}`,
    hint: (f) =>
      f.remedy ??
      "try again, or use a code on another machine: `certgate login --device`; the gate's enroll.issuers names the provider (docs/login.md)",
  }),
  CG_LOGIN_REFUSED: entry<{ issuer: string; gate: string; reason: string }>({
    about:
      'The login at the identity provider succeeded, but the gate issued no certificate; its log says why, its answer does not.',
    exit: EXIT.refused,
    status: 403,
    message: (f) => `logged in at ${f.issuer}, but ${f.gate} gave no certificate: ${f.reason}`,
    hint: () =>
      'ask whoever runs the gate; if its log says that no rule of enroll.issuers matches, a group is often missing: once you have it, `certgate login`',
  }),
  CG_LOGIN_ENDED: entry<{ gate: string; ended: string | null }>({
    about: 'The command would use the login of this user, but it has expired, or nobody is logged in.',
    exit: EXIT.refused,
    status: 403,
    message: (f) =>
      f.ended === null ? `nobody is logged in at ${f.gate} here` : `the login at ${f.gate} expired at ${f.ended}`,
    hint: () => 'log in again: `certgate login`',
  }),
  CG_IDENTITY_TOKEN: entry<{ where: string; problem: string }>({
    about: 'There is no identity token in the given source.',
    exit: EXIT.usage,
    status: 400,
    message: (f) => `no identity token in ${f.where}: ${f.problem}`,
    hint: () => 'docs/identity-tokens.md says how a job or a pod gets one on each platform',
  }),
  CG_ENROLL_ANSWER: entry<{ problem: string }>({
    about: "The gate's answer to the enrolment cannot be used; nothing was written.",
    exit: EXIT.failure,
    status: 502,
    message: (f) => `the gate's answer cannot be used: ${f.problem}`,
    hint: () => 'compare the versions on both machines: `certgate --version`',
  }),

  // export
  CG_EXPORT: entry<{ what: string; problem: string; remedy: string }>({
    about: 'A certificate cannot be exported in that format.',
    exit: EXIT.failure,
    status: 400,
    message: (f) => `cannot export ${f.what}: ${f.problem}`,
    hint: (f) => f.remedy,
  }),
  CG_FILE_EXISTS: entry<{ path: string; problem: string; replaceable: boolean; flag?: string }>({
    about: 'The output file already exists; it was not changed.',
    exit: EXIT.refused,
    status: 409,
    message: (f) => `${f.path} ${f.problem}`,
    hint: (f) => `name another with ${f.flag ?? '--out'} FILE${f.replaceable ? ', or replace it with --force' : ''}`,
  }),
  CG_PASSWORD: entry<{ problem: string; remedy: string }>({
    about: 'There is no password, or not every program would read it the same way.',
    exit: EXIT.usage,
    status: 400,
    message: (f) => f.problem,
    hint: (f) => f.remedy,
  }),

  // what a gate refuses, as its record and its answers say
  CG_CLIENT_NO_CERTIFICATE: entry<{ detail: string }>({
    about: 'A client presented no certificate.',
    exit: EXIT.refused,
    status: 403,
    message: (f) => `no client certificate: ${f.detail}`,
    hint: () => 'connect through `certgate run` or `certgate connect`, which present one',
  }),
  CG_CLIENT_UNTRUSTED: entry<{ detail: string }>({
    about: "A client's certificate does not chain to this CA.",
    exit: EXIT.refused,
    status: 403,
    message: (f) => `the client certificate is not trusted: ${f.detail}`,
    hint: () => 'issue the client one from this CA: `certgate issue worker/etl-1`',
  }),
  CG_CLIENT_EXPIRED: entry<{ detail: string }>({
    about: "A client's certificate has expired.",
    exit: EXIT.refused,
    status: 403,
    message: (f) => `the client certificate has expired: ${f.detail}`,
    hint: () => 'issue a new one: `certgate issue worker/etl-1 --force`',
  }),
  CG_CLIENT_NOT_YET_VALID: entry<{ detail: string }>({
    about: "A client's certificate is not valid yet.",
    exit: EXIT.refused,
    status: 403,
    message: (f) => `the client certificate is not valid yet: ${f.detail}`,
    hint: () => 'compare the clocks of both machines: `date -u`',
  }),
  CG_CLIENT_PURPOSE: entry<{ detail: string }>({
    about: "A client's certificate is not valid for TLS clients (RFC 5280 §4.2.1).",
    exit: EXIT.refused,
    status: 403,
    message: (f) => `the client certificate is not for clients: ${f.detail}`,
    hint: () => 'issue the client its own: `certgate issue worker/etl-1`',
  }),
  CG_CLIENT_UNRECORDED: entry<{ detail: string }>({
    about: "A client's certificate is signed by this CA, but is not on record.",
    exit: EXIT.refused,
    status: 403,
    message: (f) => `the client certificate is not on record: ${f.detail}`,
    hint: () =>
      "find out who has the issuer's key: certgate did not issue the certificate, or the store is an old backup",
  }),
  CG_CLIENT_REVOKED: entry<{ detail: string }>({
    about: "A client's certificate was revoked.",
    exit: EXIT.refused,
    status: 403,
    message: (f) => `the client certificate was revoked: ${f.detail}`,
    hint: () => '`certgate list --state revoked` and `certgate audit` show why and by whom',
  }),
  CG_CLIENT_LOCKED: entry<{ detail: string }>({
    about: 'A client, its certificate or everyone is locked: refused for now, but not revoked.',
    exit: EXIT.refused,
    status: 403,
    message: (f) => `the client is locked: ${f.detail}`,
    hint: () => '`certgate locks` shows by whom, why and until when; `certgate unlock identity worker/etl-1` ends it',
  }),
  CG_REQUEST_TARGET: entry<{ detail: string }>({
    about: "A request's target is ambiguous.",
    exit: EXIT.refused,
    status: 400,
    message: (f) => `the request target is refused: ${f.detail}`,
    hint: () => 'send the path in its plain form: no `//`, no dot segments, no encoded slash',
  }),
  CG_REQUEST_HOST: entry<{ detail: string }>({
    about: "A request's Host header is one that Prefect reserves for itself.",
    exit: EXIT.refused,
    status: 400,
    message: (f) => `the Host is refused: ${f.detail}`,
    hint: () => "use the gate's name",
  }),
  CG_RENEW_THROUGH_SIDECAR: entry<{ detail: string }>({
    about: "A certificate was requested through a sidecar's port, which anyone may have reached.",
    exit: EXIT.refused,
    status: 403,
    message: (f) => `no renewal through a sidecar: ${f.detail}`,
    hint: () =>
      "check what runs beside that sidecar: certificates renew themselves, and Prefect's client never asks for one",
  }),
  CG_EST_REQUEST: entry<{ detail: string }>({
    about: "An EST client (RFC 7030) asked for something not offered, or in a form that is not the standard's.",
    exit: EXIT.refused,
    status: 400,
    message: (f) => `not answered over EST: ${f.detail}`,
    hint: () => 'docs/est.md lists what is offered, with working commands',
  }),
  CG_REQUEST_CROSS_SITE: entry<{ detail: string }>({
    about: 'A browser sent a request on behalf of another site.',
    exit: EXIT.refused,
    status: 403,
    message: (f) => `cross-site request: ${f.detail}`,
    hint: () => "open the page at the gate's own address",
  }),
  CG_UNBOUND: entry<{ detail: string }>({
    about: 'A client has no role in the policy, so it may do nothing.',
    exit: EXIT.refused,
    status: 403,
    message: (f) => `no role: ${f.detail}`,
    hint: () => 'bind a role to it in the policy: `- {role: Viewer, identity: user/alice}` under bindings',
  }),
  CG_PERMISSION: entry<{ detail: string }>({
    about: 'A client lacks a permission that the operation needs, or one of its roles denies it.',
    exit: EXIT.refused,
    status: 403,
    message: (f) => `not permitted: ${f.detail}`,
    hint: () => '`certgate policy explain user/alice POST /api/flows/` shows which role, permission and line decide',
  }),
  CG_SCOPE: entry<{ detail: string }>({
    about: 'A client may do this only within its pools or its tag, and the object is outside, or the gate cannot tell.',
    exit: EXIT.refused,
    status: 403,
    message: (f) => `outside the scope: ${f.detail}`,
    hint: () => 'docs/policy.md, "Scopes", says what each operation needs; `certgate policy explain` shows the binding',
  }),
  CG_SCOPE_UNKNOWN: entry<{ detail: string }>({
    about: 'The gate has to ask Prefect what pool or tag something has, and gets no answer: the client has to wait.',
    exit: EXIT.refused,
    status: 503,
    message: (f) => `cannot find out whose it is: ${f.detail}`,
    hint: () => '`certgate health` shows whether the gate reaches Prefect; clients retry by themselves',
  }),
  CG_REQUEST_BODY: entry<{ detail: string }>({
    about: 'The gate needs the body to decide on the request, and the body is unreadable or ambiguous.',
    exit: EXIT.refused,
    status: 400,
    message: (f) => `the body is refused: ${f.detail}`,
    hint: () => 'send it as JSON in UTF-8 with a Content-Length, at most 1 MiB, uncompressed, no name twice',
  }),
  CG_OPERATION_UNKNOWN: entry<{ detail: string }>({
    about: 'A client that is not an Owner asked for something that is not in the table of operations.',
    exit: EXIT.refused,
    status: 403,
    message: (f) => `unknown operation: ${f.detail}`,
    hint: () =>
      'it is not a Prefect operation, or belongs to a newer Prefect than this certgate knows: then update certgate',
  }),
  CG_LIMIT_CONNECTIONS: entry<{ detail: string }>({
    about: 'The gate has reached its limit of connections: new ones are reset before the handshake.',
    exit: EXIT.refused,
    status: 503,
    message: (f) => `too many connections: ${f.detail}`,
    hint: () => 'raise serve.limits.connections, and the limit on file descriptors (`ulimit -n`, LimitNOFILE)',
  }),
  CG_LIMIT_ADDRESS: entry<{ detail: string }>({
    about: 'An address has reached its limit of connections: new ones are reset before the handshake.',
    exit: EXIT.refused,
    status: 503,
    message: (f) => `too many connections from one address: ${f.detail}`,
    hint: () => 'raise serve.limits.connectionsPerAddress if many clients share the address',
  }),
  CG_LIMIT_HANDSHAKES: entry<{ detail: string }>({
    about:
      'An address opens connections too fast, or presents long certificate chains that lead nowhere: new connections are reset before the handshake.',
    exit: EXIT.refused,
    status: 503,
    message: (f) => `too many handshakes from one address: ${f.detail}`,
    hint: () => 'raise serve.limits.handshakesPerAddress if many clients share the address',
  }),
  CG_LIMIT_IDENTITY: entry<{ detail: string }>({
    about: 'An identity has reached its limit of connections.',
    exit: EXIT.refused,
    status: 429,
    message: (f) => `too many connections of one identity: ${f.detail}`,
    hint: () => 'give each worker its own identity, or raise serve.limits.connectionsPerIdentity',
  }),
  CG_LIMIT_REQUESTS: entry<{ detail: string }>({
    about: 'An identity has reached its limit of requests in flight.',
    exit: EXIT.refused,
    status: 429,
    message: (f) => `too many requests of one identity: ${f.detail}`,
    hint: () => 'give each worker its own identity, or raise serve.limits.requestsPerIdentity',
  }),
  CG_STORE_UNAVAILABLE: entry<{ detail: string }>({
    about: 'The gate cannot read its store, so it does not know who is revoked: it refuses everyone.',
    exit: EXIT.storage,
    status: 503,
    message: (f) => `the store cannot be read: ${f.detail}`,
    hint: () => '`certgate health` and `certgate doctor` show what is wrong with it',
  }),
} as const;

export type ErrorCode = keyof typeof catalogue;
export type ErrorFacts<C extends ErrorCode> = (typeof catalogue)[C] extends Entry<infer P> ? P : never;

/** A failure from the catalogue. `message` and `hint` are ready to show; `facts` are what they were made from. */
export class CertgateError<C extends ErrorCode = ErrorCode> extends Error {
  readonly code: C;
  readonly exitCode: number;
  readonly status: number;
  readonly hint: string;
  readonly facts: ErrorFacts<C>;

  constructor(code: C, facts: ErrorFacts<C>, options?: { cause?: unknown }) {
    const e = catalogue[code] as unknown as Entry<ErrorFacts<C>>;
    super(e.message(facts), options);
    this.name = 'CertgateError';
    this.code = code;
    this.exitCode = e.exit;
    this.status = e.status;
    this.hint = e.hint(facts);
    this.facts = facts;
  }
}

/** True for any error of the catalogue, or of exactly `code` when one is given. */
export function isCertgateError<C extends ErrorCode = ErrorCode>(error: unknown, code?: C): error is CertgateError<C> {
  return error instanceof CertgateError && (code === undefined || error.code === code);
}

/** The text of anything thrown, without its stack. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return otherName(error) ?? error.message.replace(NODE_ADVICE, '');
}

/** What Node adds when a chain ends at nobody who is trusted; certgate has flags and settings of its own for that. */
const NODE_ADVICE = '; if the root CA is installed locally, try running Node.js with --use-system-ca';

/** That a server's certificate is for other names, and which; null for another error. */
function otherName(error: Error): string | null {
  if (!('code' in error) || error.code !== 'ERR_TLS_CERT_ALTNAME_INVALID' || !('host' in error)) return null;
  const { subjectaltname } = 'cert' in error ? (error.cert as { subjectaltname?: unknown }) : {};
  if (typeof subjectaltname !== 'string') return null;
  const names = subjectaltname.split(', ').map((name) => name.replace(/^(?:DNS|IP Address):/, ''));
  const more = names.length > 5 ? ` and ${names.length - 5} more` : '';
  return `its certificate is for ${names.slice(0, 5).join(', ')}${more}, not for ${String(error.host)}`;
}

const SYSTEM_WORDS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  ENOENT: 'no such file or folder',
  EEXIST: 'it exists already',
  EISDIR: 'it is a folder',
  ENOTDIR: 'it is not a folder',
  ENOSPC: 'no space is left on the device',
  EROFS: 'the file system is read-only',
  EMFILE: 'too many open files',
  ELOOP: 'too many symbolic links',
  ENAMETOOLONG: 'the name is too long',
  EDQUOT: 'the disk quota is used up',
  EIO: 'the device failed',
};

/** Node has no name for a quota that is used up. */
const UNNAMED: Readonly<Record<string, string>> = { [`Unknown system error -${constants.errno.EDQUOT}`]: 'EDQUOT' };

/** The system's name for what it refused (`ENOSPC`, …), of anything thrown; the empty text when it has none. */
export function systemCode(error: unknown): string {
  if (!(error instanceof Error && 'code' in error && typeof error.code === 'string')) return '';
  return UNNAMED[error.code] ?? error.code;
}

/** The same of what the system said about a file that is named beside it: in words, where it has a code that people meet. */
export function fileReason(error: unknown): string {
  const code = error instanceof Error && 'syscall' in error ? systemCode(error) : '';
  return SYSTEM_WORDS[code] ?? reasonOf(error);
}

/** `text` as one word of a POSIX shell. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/**
 * A value from outside, fit for a message: quoted, ASCII only (everything else as \u{…}), 120 characters at most, so
 * that nothing in it can end a line, turn a terminal's writing direction or pass for certgate's own words.
 */
export function shown(value: string): string {
  const head = Array.from(value.slice(0, 120), (character) => {
    const code = character.codePointAt(0) ?? 0;
    if (character === '"' || character === '\\') return `\\${character}`;
    return code >= 0x20 && code < 0x7f ? character : `\\u{${code.toString(16)}}`;
  }).join('');
  return value.length > 120 ? `"${head}"… (${value.length} characters)` : `"${head}"`;
}
