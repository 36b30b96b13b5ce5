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
export const NO_SOCKET = 'what is there is no socket';

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
    about: 'The command line is not one that certgate understands.',
    exit: EXIT.usage,
    status: 400,
    message: (f) => f.problem,
    hint: (f) => f.remedy,
  }),
  CG_NODE: entry<{ version: string; oldest: string }>({
    about: 'The Node that runs certgate is too old for it.',
    exit: EXIT.usage,
    status: 500,
    message: (f) => `Node ${f.version} is too old: certgate needs ${f.oldest} or newer`,
    hint: () => 'install a newer Node, or put it first on PATH: node --version',
  }),
  CG_CONFIG: entry<{ problems: ReadonlyArray<{ place: string; problem: string; remedy: string }> }>({
    about: 'The configuration has problems; every one is named with its place and its remedy.',
    exit: EXIT.configuration,
    status: 500,
    message: (f) => f.problems.map((p) => `${p.place}: ${p.problem}`).join('\n'),
    hint: (f) => f.problems.map((p) => p.remedy).join('\n'),
  }),
  CG_CONFIG_FILE: entry<{ file: string; problem: string; remedy?: string }>({
    about: 'A configuration file that was named cannot be read.',
    exit: EXIT.configuration,
    status: 500,
    message: (f) => `the configuration file ${f.file} ${f.problem}`,
    hint: (f) => f.remedy ?? 'name another with --config FILE or CERTGATE_CONFIG, or make one: certgate init --dir DIR',
  }),
  CG_POLICY: entry<{ problems: ReadonlyArray<{ place: string; problem: string; remedy: string }> }>({
    about: 'The policy has problems; every one is named with its place and its remedy.',
    exit: EXIT.configuration,
    status: 500,
    message: (f) => f.problems.map((p) => `${p.place}: ${p.problem}`).join('\n'),
    hint: (f) => f.problems.map((p) => p.remedy).join('\n'),
  }),
  CG_POLICY_FILE: entry<{ file: string; problem: string }>({
    about: 'The policy that was named cannot be read.',
    exit: EXIT.configuration,
    status: 500,
    message: (f) => `the policy ${f.file} ${f.problem}`,
    hint: () => 'name another with serve.policy or --policy FILE; docs/policy.md has one to begin with',
  }),
  CG_POLICY_NONE: entry<Record<string, never>>({
    about: 'A command is about the policy, and the configuration names none.',
    exit: EXIT.configuration,
    status: 500,
    message: () => 'there is no policy: every client that is admitted may do everything',
    hint: () =>
      'name one in serve.policy of certgate.yaml, or here: certgate policy check FILE, certgate policy explain … --policy FILE; docs/policy.md has one to begin with',
  }),
  CG_POLICY_TEST: entry<{
    tests: ReadonlyArray<{ place: string; identity: string; request: string; expect: 'allow' | 'deny' }>;
  }>({
    about: "A policy's own tests do not hold; it is not taken.",
    exit: EXIT.refused,
    status: 500,
    message: (f) =>
      f.tests
        .map((t) => `${t.place}: ${t.identity} ${t.request} is not ${t.expect === 'allow' ? 'allowed' : 'denied'}`)
        .join('\n'),
    hint: (f) => f.tests.map((t) => `see why: certgate policy explain ${t.identity} ${t.request}`).join('\n'),
  }),
  CG_OPENAPI: entry<{ source: string; problem: string }>({
    about: 'What was named is not the openapi.json of a Prefect, or cannot be read.',
    exit: EXIT.failure,
    status: 500,
    message: (f) => `${shown(f.source)} ${f.problem}`,
    hint: () =>
      'a Prefect has it at /api/openapi.json: certgate policy sync --from http://127.0.0.1:4200/api/openapi.json',
  }),
  CG_FILE: entry<{ path: string; problem: string; remedy?: string }>({
    about: 'The operating system refused to read or write a file or folder.',
    exit: EXIT.failure,
    status: 500,
    message: (f) => `${f.path}: ${f.problem}`,
    hint: (f) => f.remedy ?? `look at it with \`ls -lad ${shellWord(f.path)}\``,
  }),
  CG_INSPECT: entry<{ what: string; problem: string }>({
    about: 'The thing to inspect is nothing that certgate knows.',
    exit: EXIT.usage,
    status: 400,
    message: (f) => `cannot inspect ${shown(f.what)}: it ${f.problem}`,
    hint: () =>
      'give a file in PEM or DER, or host:port: `certgate inspect worker-etl-1/tls.crt`, `certgate inspect gate.example:8443`',
  }),
  CG_PEER: entry<{ peer: string; problem: string }>({
    about: 'A TLS server cannot be reached, or the handshake with it fails.',
    exit: EXIT.network,
    status: 502,
    message: (f) => `no TLS connection to ${f.peer}: ${f.problem}`,
    hint: (f) => `check that it listens there and speaks TLS 1.2 or 1.3: \`openssl s_client -connect ${f.peer}\``,
  }),
  CG_INTERNAL: entry<{ problem: string }>({
    about: 'A fault in certgate itself.',
    exit: EXIT.failure,
    status: 500,
    message: (f) => `internal error: ${f.problem}`,
    hint: () =>
      'this is a fault in certgate: report it with the message above, see SECURITY.md if it looks exploitable',
  }),

  // observe
  CG_AUDIT_UNWRITABLE: entry<{ path: string; reason: string }>({
    about: "The gate's record cannot be written; writes are refused until it can.",
    exit: EXIT.storage,
    status: 503,
    message: (f) => `the record ${f.path} cannot be written: ${f.reason}`,
    hint: (f) => `make room on its disk, or give it back to the user that runs the gate: ls -l ${shellWord(f.path)}`,
  }),
  CG_AUDIT_UNREADABLE: entry<{ path: string; reason: string }>({
    about: "The gate's record cannot be read.",
    exit: EXIT.storage,
    status: 500,
    message: (f) => `the record ${f.path} cannot be read: ${f.reason}`,
    hint: () =>
      'the gate keeps it in its state folder with mode 0600: run certgate audit as the same user, with the same certgate.yaml, and name no file',
  }),
  CG_AUDIT_TAMPERED: entry<{ problems: number; first: string }>({
    about: 'The record or the acts of the CA are not as they were written.',
    exit: EXIT.refused,
    status: 500,
    message: (f) =>
      `the record is not as it was written, in ${f.problems} ${f.problems === 1 ? 'place' : 'places'}: ${f.first}`,
    hint: () =>
      'keep the files as they are for whoever looks into it, and compare them with a backup: certgate audit --verify FILE',
  }),
  CG_AUDIT_CHECKPOINT: entry<{ file: string; problem: string }>({
    about: 'There is no checkpoint of the record, or a file is none.',
    exit: EXIT.notFound,
    status: 500,
    message: (f) => `${f.file}: ${f.problem}`,
    hint: () => 'a gate signs checkpoints: certgate serve; then certgate audit --checkpoint FILE keeps the newest',
  }),
  CG_AUDIT_EXPORT: entry<{ to: string; reason: string }>({
    about: 'A collector does not take the record.',
    exit: EXIT.network,
    status: 502,
    message: (f) => `${f.to} does not take the record: ${f.reason}`,
    hint: () => 'nothing is lost: set the collector right and run it again with the same --cursor',
  }),

  // proxy, inbound, outbound
  CG_LISTEN: entry<{ address: string; reason: string; flag?: string }>({
    about: 'The address to listen on cannot be bound.',
    exit: EXIT.network,
    status: 500,
    message: (f) => `cannot listen on ${f.address}: ${f.reason}`,
    hint: ({ address, reason, flag = '--listen' }) => {
      if (reason === NO_SOCKET) return `look at it, and move it away: ls -ld ${shellWord(address)}`;
      if (reason.startsWith(`${address}.lock: `) && !/EACCES|ENOENT/.test(reason)) {
        return `that file must be this user's to write, or not be there: ls -l ${shellWord(`${address}.lock`)}`;
      }
      if (address.startsWith('/') && /EACCES|ENOENT/.test(reason)) {
        return `its folder must be there, and this user's to write: ls -ld ${shellWord(address.replace(/(?<=.)\/[^/]*$/, ''))}`;
      }
      if (reason.includes('EACCES')) {
        return `a port below 1024 wants AmbientCapabilities=CAP_NET_BIND_SERVICE in a unit (docs/operations.md); or choose one above with ${flag} HOST:PORT`;
      }
      if (reason.includes('choose a shorter stateDir'))
        return 'set stateDir, or CERTGATE_STATE_DIR, to a folder with a shorter path';
      if (/ENOTFOUND|EAI_AGAIN/.test(reason)) {
        const name = shellWord(address.replace(/:\d+$/, ''));
        return `see what the name stands for: getent hosts ${name}; or give an address with ${flag} HOST:PORT`;
      }
      if (reason.includes('EADDRNOTAVAIL')) {
        return `this machine has no such address: choose one that \`ip -brief address\` shows, with ${flag} HOST:PORT`;
      }
      const [form, shows] = address.startsWith('/') ? ['unix:/PATH', 'ss -lxp'] : ['HOST:PORT', 'ss -ltnp'];
      return `choose another with ${flag} ${form}, or end what listens there: ${shows}`;
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
    about: "The file with the Prefect server's password cannot be used.",
    exit: EXIT.configuration,
    status: 500,
    message: (f) => `the auth string file ${f.file} ${f.problem}`,
    hint: () => 'put the value of PREFECT_SERVER_API_AUTH_STRING into it, readable by the user that runs the gate',
  }),
  CG_GATE_RUNNING: entry<{ socket: string }>({
    about: 'Another gate already runs on the same state folder.',
    exit: EXIT.failure,
    status: 500,
    message: (f) => `another gate already runs on this state folder: ${f.socket}`,
    hint: () => 'end that gate first, or give this one a state folder of its own (stateDir)',
  }),
  CG_GATE_ANSWER: entry<{ socket: string; reason: string; remedy?: string }>({
    about: 'No gate runs on this state folder, or its control socket did not answer as expected.',
    exit: EXIT.network,
    status: 502,
    message: (f) => `the gate at ${f.socket} did not answer: ${f.reason}`,
    hint: (f) =>
      f.remedy ??
      'where none runs, start it (certgate serve), or name its configuration with --config FILE; else look at its log',
  }),
  CG_WORKER: entry<{ reason: string }>({
    about: 'A worker process of the gate cannot start, or ended before it could serve.',
    exit: EXIT.failure,
    status: 500,
    message: (f) => `a worker of the gate did not start: ${f.reason}`,
    hint: () => 'look at the log above; `certgate serve --workers 1` runs the gate in one process',
  }),
  CG_CREDENTIALS: entry<{ file: string; reason: string; remedy?: string }>({
    about: 'The certificate, key or trust bundle of the outbound sidecar cannot be used.',
    exit: EXIT.configuration,
    status: 500,
    message: (f) => (f.file === '' ? f.reason : `${f.file}: ${f.reason}`),
    hint: (f) =>
      f.remedy ??
      'name a folder with tls.crt, tls.key and ca.crt by --identity DIR; make one where the CA is: certgate issue worker/NAME --out DIR',
  }),
  CG_RENEWAL: entry<{ dir: string; reason: string; gate?: string }>({
    about:
      'A certificate was not renewed: the gate could not be reached, or the folder could not be written. It can be tried again.',
    exit: EXIT.network,
    status: 502,
    message: (f) => `the certificate in ${f.dir} was not renewed: ${f.reason}`,
    hint: (f) =>
      `the present one stays; ${f.gate === undefined ? `when it ends: certgate inspect ${shellWord(`${f.dir}/tls.crt`)}` : `when it ends, and what is in the way: certgate doctor --gate ${f.gate} --identity ${shellWord(f.dir)}`}`,
  }),
  CG_RENEWAL_REFUSED: entry<{ reason: string }>({
    about: 'The gate refused to renew a certificate: it has ended, was revoked, is locked or was renewed before.',
    exit: EXIT.refused,
    status: 403,
    message: (f) => `the gate refused to renew it: ${f.reason}`,
    hint: () =>
      'with a new token from the CA’s machine (certgate token create NAME): certgate enroll --token-file FILE --out DIR --force',
  }),
  CG_HOOK: entry<{ command: string }>({
    about: 'The certificate was renewed, and the command of --exec failed after it.',
    exit: EXIT.failure,
    status: 500,
    message: (f) => `the certificate was renewed, and ${shown(f.command)} failed after it`,
    hint: () => 'why is in the line of the log above; run the command by hand, the certificate is in its files',
  }),
  CG_CONNECT_GATE: entry<Record<string, never>>({
    about: 'The outbound sidecar was not told where the gate is.',
    exit: EXIT.configuration,
    status: 500,
    message: () => 'no gate to connect to',
    hint: () =>
      'name it: --gate https://HOST:8443, or CERTGATE_CONNECT_GATE, or connect.gate in certgate.yaml; or give a token, which knows it: --token-file FILE',
  }),
  CG_UNSAFE_LISTEN: entry<{ address: string }>({
    about: 'The outbound sidecar would listen where other machines could use its certificate.',
    exit: EXIT.configuration,
    status: 500,
    message: (f) => `${f.address} is not a loopback address: whoever reaches it could use this certificate`,
    hint: () =>
      'listen on 127.0.0.1 or a unix socket, or say --unsafe-listen when only trusted programs can reach the address',
  }),
  CG_COMMAND: entry<{ command: string; reason: string }>({
    about: 'The command that certgate run should start cannot be started.',
    exit: 127,
    status: 500,
    message: (f) => `cannot start ${f.command}: ${f.reason}`,
    hint: () => 'check the command after --, e.g. certgate run -- prefect worker start --pool etl',
  }),

  // identity
  CG_IDENTITY_NAME: entry<{ name: string }>({
    about: 'The text is not the name of an identity.',
    exit: EXIT.usage,
    status: 400,
    message: (f) => `not an identity's name: ${shown(f.name)}`,
    hint: () =>
      'a name is worker/…, user/… or service/… in lower case, e.g. worker/etl-1, user/alice or service/data/ci (2 to 4 segments of [a-z0-9._-], 128 characters at most)',
  }),
  CG_TRUST_DOMAIN: entry<{ trustDomain: string }>({
    about: 'The text cannot be a trust domain.',
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
    message: (f) => `the certificate speaks for nobody here: ${f.reason}`,
    hint: () =>
      'see what certgate reads in it with `certgate inspect FILE`; identity.rules in certgate.yaml says what counts',
  }),
  CG_IDENTITY_AMBIGUOUS: entry<{ reason: string }>({
    about: 'The certificate names more than one identity.',
    exit: EXIT.refused,
    status: 403,
    message: (f) => `the certificate names more than one identity: ${f.reason}`,
    hint: () => 'issue it anew with one name: `certgate issue worker/etl-1`',
  }),
  CG_IDENTITY_FOREIGN: entry<{ reason: string }>({
    about: "The certificate's SPIFFE ID belongs to another trust domain.",
    exit: EXIT.refused,
    status: 403,
    message: (f) => `the certificate is of another trust domain: ${f.reason}`,
    hint: () =>
      'use a certificate issued by this certgate, or map the other trust domain by a rule {from: URI, …} placed before {from: spiffe}',
  }),
  CG_IDENTITY_ODD: entry<{ reason: string }>({
    about: 'What the certificate says in the place of a name is not a name.',
    exit: EXIT.refused,
    status: 403,
    message: (f) => `the certificate's name is not one: ${f.reason}`,
    hint: () => 'see what certgate reads in it with `certgate inspect FILE`; names look like worker/etl-1',
  }),
  CG_IDENTITY_RESERVED: entry<{ reason: string }>({
    about: 'A certificate of certgate itself was used by a client.',
    exit: EXIT.refused,
    status: 403,
    message: (f) => `the certificate may not act as a client: ${f.reason}`,
    hint: () => 'gate/… names server certificates only: issue the client one of its own, `certgate issue worker/etl-1`',
  }),

  // pki
  CG_PEM: entry<{ label: string; problem: string }>({
    about: 'The text is not the PEM file that was expected.',
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
    about: 'A private key is encrypted and its passphrase is missing, unusable or another one.',
    exit: EXIT.configuration,
    status: 503,
    message: (f) => f.problem,
    hint: (f) => f.remedy,
  }),
  CG_SIGNER: entry<{ signer: string; problem: string }>({
    about: 'The signer that holds the key of the CA does not answer, or not as it should; nothing was signed.',
    exit: EXIT.network,
    status: 503,
    message: (f) => `the signer at ${f.signer} ${f.problem}`,
    hint: () =>
      'see whether `certgate signer` runs there, and what its log says; a gate that serves already goes on without it',
  }),
  CG_SIGNER_KEY: entry<{ signer: string; problem: string; remedy?: string }>({
    about: 'The signer does not hold that key of the CA.',
    exit: EXIT.configuration,
    status: 503,
    message: (f) => `the signer at ${f.signer} ${f.problem}`,
    hint: (f) => f.remedy ?? 'start it with the key: `certgate signer --key FILE`, once for each key',
  }),
  CG_SIGNER_REFUSED: entry<{ problem: string }>({
    about: 'The signer refuses to sign that: it signs leaves of its own trust domain, CRLs, OCSP answers and requests.',
    exit: EXIT.refused,
    status: 403,
    message: (f) => `the signer does not sign that: ${f.problem}`,
    hint: () => 'its flags say what it signs: `certgate signer --help`',
  }),
  CG_PKCS11: entry<{ uri: string; problem: string }>({
    about: 'A key in a PKCS#11 token cannot be used.',
    exit: EXIT.configuration,
    status: 503,
    message: (f) => `${f.uri}: ${f.problem}`,
    hint: () => 'see what the token has: `pkcs11-tool --module MODULE --list-token-slots` and `--list-objects`',
  }),
  CG_KEY_MISMATCH: entry<{ subject: string }>({
    about: 'The private key does not belong to the certificate.',
    exit: EXIT.failure,
    status: 400,
    message: (f) => `the private key is not that of the certificate of ${shown(f.subject)}`,
    hint: () => 'compare `openssl x509 -in CERT -noout -pubkey` with `openssl pkey -in KEY -pubout`',
  }),
  CG_CERT_UNREADABLE: entry<{ problem: string }>({
    about: 'The certificate cannot be read, or not in one way only.',
    exit: EXIT.failure,
    status: 400,
    message: (f) => `certificate unreadable: ${f.problem}`,
    hint: () => 'look at it with `openssl x509 -in FILE -text -noout` and `openssl asn1parse -in FILE`',
  }),
  CG_CERT_CONTENT: entry<{ problem: string; remedy: string }>({
    about: 'A certificate with that content would break RFC 5280.',
    exit: EXIT.usage,
    status: 400,
    message: (f) => `no certificate can say that: ${f.problem}`,
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
    hint: () => 'check it with `openssl req -in FILE -verify -noout` and make a new one from the key it was made with',
  }),
  CG_CSR_KEY: entry<{ key: string }>({
    about: 'The key to certify is of a kind or size that certgate does not certify, or known to be weak.',
    exit: EXIT.refused,
    status: 400,
    message: (f) => `key not accepted: ${f.key}`,
    hint: () =>
      'use P-256, P-384, Ed25519 or RSA of 2048 to 8192 bits, e.g. `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out tls.key`',
  }),
  CG_CSR_NAME: entry<{ problem: string; remedy: string }>({
    about: 'The certificate signing request asks for a name, or a power, that the certificate would not have.',
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
      'run this in the folder of certgate.yaml, or name that: --config FILE, or the place by CERTGATE_STATE_DIR; where it was lost, restore a backup; where there was none yet: `certgate init --dir DIR`',
  }),
  CG_STORE_EXISTS: entry<{ location: string }>({
    about: 'A store was to be made where something already is.',
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
    about:
      'The store was written by an older certgate and was opened for reading only, so it cannot be brought up to date.',
    exit: EXIT.storage,
    status: 503,
    message: (f) => `${f.location} has schema version ${f.found}, this certgate reads ${f.known}`,
    hint: () =>
      'have one that may write open it once, as the owner of the store: the gate when it starts, or `certgate ca status`',
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
    about: 'The open store was moved, deleted or replaced: what this process sees of it is no longer the truth.',
    exit: EXIT.storage,
    status: 503,
    message: (f) => `the open store is gone: ${f.location} ${f.problem}`,
    hint: () =>
      'stop every certgate that has it open, put the store and the -wal file beside it back, or restore a backup, and start again',
  }),
  CG_STORE_BUSY: entry<{ location: string; waited: number }>({
    about: 'Another process kept the store locked for too long.',
    exit: EXIT.storage,
    status: 503,
    message: (f) => `${f.location} was locked by another process for ${f.waited} ms`,
    hint: (f) => `see who holds it with \`fuser -v ${shellWord(f.location)}\`, then try again`,
  }),
  CG_STORE_FULL: entry<{ location: string; problem: string }>({
    about: 'There is no room to record anything; nothing was changed.',
    exit: EXIT.storage,
    status: 507,
    message: (f) => `no room to write ${f.location}: ${f.problem}`,
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
    hint: () => 'certgate is shutting down: try again when it is back',
  }),
  CG_STORE_SERIAL_TAKEN: entry<{ serial: string }>({
    about: 'A certificate with that serial number is recorded already.',
    exit: EXIT.refused,
    status: 409,
    message: (f) => `serial number ${f.serial} is taken`,
    hint: () =>
      'try again: serial numbers are random; if it happens twice, the random source of this machine is broken',
  }),

  // backup and restore
  CG_FOLDER_TAKEN: entry<{ path: string; problem: string }>({
    about: 'A backup or a restored CA was to be put where something already is; nothing was changed.',
    exit: EXIT.refused,
    status: 409,
    message: (f) => `${f.path} ${f.problem}`,
    hint: () => 'certgate never overwrites: name a folder that does not exist yet, or an empty one',
  }),
  CG_BACKUP_WRITE: entry<{ path: string; problem: string; folder: string }>({
    about: 'A backup, or what is restored from one, cannot be written; nothing is left of the attempt.',
    exit: EXIT.storage,
    status: 507,
    message: (f) => `${f.path} cannot be written: ${f.problem}`,
    hint: (f) =>
      `make room and see who may write there: \`df -h ${shellWord(f.folder)}\`, \`ls -ld ${shellWord(f.folder)}\``,
  }),
  CG_BACKUP_UNUSABLE: entry<{ path: string; problem: string }>({
    about: 'What is to be restored is no backup of certgate, or it is damaged or incomplete; nothing was restored.',
    exit: EXIT.failure,
    status: 400,
    message: (f) => `${f.path} ${f.problem}`,
    hint: () => 'take another copy of it, or an older backup: a folder that `certgate backup` made, with manifest.json',
  }),
  CG_CRL_NEEDED: entry<{ problem: string }>({
    about: 'A restored store does not know what was revoked since its backup, and no list was given that does.',
    exit: EXIT.refused,
    status: 400,
    message: (f) => f.problem,
    hint: () =>
      'give the newest revocation list that you can find: --crl FILE or --crl http://…; only if there is none: --without-crl',
  }),
  CG_CRL_FETCH: entry<{ url: string; problem: string }>({
    about: 'A revocation list cannot be fetched.',
    exit: EXIT.network,
    status: 502,
    message: (f) => `no revocation list from ${shown(f.url)}: ${f.problem}`,
    hint: () => 'fetch it by other means, from whoever has a copy, and name the file: --crl FILE',
  }),
  CG_CRL_FOREIGN: entry<{ crl: string; problem: string }>({
    about: 'A revocation list was not signed by an issuer of the backup.',
    exit: EXIT.refused,
    status: 400,
    message: (f) => `${shown(f.crl)} ${f.problem}`,
    hint: (f) =>
      `look at it with \`certgate inspect ${shellWord(f.crl)}\`: its key id must be that of certs/issuer.crt`,
  }),
  CG_CRL_NUMBER: entry<{ crl: string; problem: string }>({
    about: 'A revocation list is older than one that the backup knows of, or has no usable number.',
    exit: EXIT.refused,
    status: 400,
    message: (f) => `${shown(f.crl)} ${f.problem}`,
    hint: () => 'find the newest list: whoever checks revocation against this CA has a copy',
  }),

  // authority
  CG_TTL: entry<{ ttl: string; problem: string; remedy: string }>({
    about: 'A certificate cannot be issued for that long or that short a time.',
    exit: EXIT.usage,
    status: 400,
    message: (f) => `lifetime ${f.ttl} ${f.problem}`,
    hint: (f) => f.remedy,
  }),
  CG_PROFILE: entry<{ identity: string; problem: string }>({
    about: 'That identity cannot have a certificate of that profile.',
    exit: EXIT.usage,
    status: 400,
    message: (f) => `no such certificate for ${shown(f.identity)}: ${f.problem}`,
    hint: () => 'gate/… names server certificates; worker/…, user/… and service/… name client certificates',
  }),
  CG_LOCKED: entry<{ identity: string; lock: string; reason: string; unlock: string }>({
    about: 'No certificate is issued to an identity while it, or everyone, is locked.',
    exit: EXIT.refused,
    status: 403,
    message: (f) => `no certificate for ${shown(f.identity)}: ${f.lock}: ${shown(f.reason)}`,
    hint: (f) => `\`certgate locks\` shows who locked it; end the lock with \`certgate unlock ${f.unlock}\``,
  }),
  CG_LOCK_GATE: entry<{ what: string }>({
    about: "The gate's own certificate cannot be locked: a gate that could not renew it would end all service.",
    exit: EXIT.usage,
    status: 400,
    message: (f) => `the gate's own certificate is never locked: ${f.what}`,
    hint: () => 'to keep everyone out, use `certgate lock all --reason TEXT`; to end the gate, stop it',
  }),
  CG_LOCK_TIME: entry<{ time: string }>({
    about: 'A lock cannot last that long or that short a time.',
    exit: EXIT.usage,
    status: 400,
    message: (f) => `no lock lasts ${f.time}: it lasts from 1s to 365d, or until it is unlocked`,
    hint: () => 'use --for 2h, or leave --for out; to keep somebody out for good, use `certgate revoke`',
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
    about: 'A CA, or a part of one, is already where a new one was to be made; nothing was changed.',
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
      `run this in the folder of certgate.yaml, or name that: --config FILE, or the folder by CERTGATE_CERTS_DIR; where it was lost, restore it from a backup, as \`certgate ca check\` says${f.file.endsWith('.key') ? '; where a signer holds it, say so: ca.signer' : ''}`,
  }),
  CG_CA_MISMATCH: entry<{ problem: string; remedy: string }>({
    about: "The CA's files, or the CA and the store, do not belong together.",
    exit: EXIT.configuration,
    status: 503,
    message: (f) => f.problem,
    hint: (f) => f.remedy,
  }),
  CG_CA_CHANGED: entry<{ problem: string }>({
    about: 'Somebody else changed the CA while this was being done; nothing was changed by this.',
    exit: EXIT.refused,
    status: 409,
    message: (f) => `the CA was changed meanwhile: ${f.problem}`,
    hint: () => 'look at it with `certgate ca status`, then decide again',
  }),
  CG_CA_STEP: entry<{ problem: string; remedy: string }>({
    about: 'A step of a rotation that is not the next one; nothing was changed.',
    exit: EXIT.refused,
    status: 409,
    message: (f) => `that step cannot be taken now: ${f.problem}`,
    hint: (f) => `\`${f.remedy}\``,
  }),
  CG_CA_KEY: entry<{ file: string; role: string; problem: string }>({
    about: "A key of the CA that is needed to sign is not where it should be, or is another's.",
    exit: EXIT.configuration,
    status: 503,
    message: (f) => `the ${f.role}'s key is needed, and ${f.file} ${f.problem}`,
    hint: () => 'bring it here for the moment it is needed, and name it: --root-key FILE',
  }),
  CG_CA_BUNDLE: entry<{ identities: readonly string[] }>({
    about: 'The new root cannot issue yet: somebody has not taken the trust bundle that holds it.',
    exit: EXIT.refused,
    status: 409,
    message: (f) => `not everybody has taken the bundle with the new root yet: ${someOf(f.identities)}`,
    hint: () =>
      'connected sidecars take it by themselves within a minute: see `certgate ca status`; give others the new ca.crt, then use --without-waiting',
  }),
  CG_CA_IN_USE: entry<{ root: number; identities: readonly string[] }>({
    about: 'A root cannot be retired: certificates that can still be used chain to it.',
    exit: EXIT.refused,
    status: 409,
    message: (f) => `root ${f.root} is still in use by ${someOf(f.identities)}`,
    hint: (f) =>
      `issue them new certificates, then wait until the old ones expire or take them back: \`certgate list ${f.identities[0] ?? ''}\`, \`certgate revoke --serial HEX --reason superseded\``,
  }),
  CG_CA_GIVEN: entry<{ file: string; problem: string; remedy?: string }>({
    about: "A company's CA certificate, key or signed issuer cannot be used for certgate's CA; nothing was changed.",
    exit: EXIT.configuration,
    status: 400,
    message: (f) => `${f.file} ${f.problem}`,
    hint: (f) =>
      f.remedy ??
      `give PEM with the certificate that signs the issuer and all above it up to the root; look into it with \`certgate inspect ${shellWord(f.file)}\``,
  }),
  CG_CA_UNFINISHED: entry<{ problem: string; request: string | null }>({
    about: "The CA cannot issue: its issuer's certificate is still to be signed elsewhere.",
    exit: EXIT.configuration,
    status: 503,
    message: (f) => `this CA cannot issue yet: ${f.problem}`,
    hint: (f) =>
      f.request === null
        ? 'make a request for it with `certgate ca csr`, have that signed as a CA (pathlen 0), then `certgate ca import SIGNED.pem`'
        : `have ${f.request} signed as a CA (pathlen 0), then \`certgate ca import SIGNED.pem\``,
  }),
  CG_CA_EXPIRED: entry<{ file: string; problem: string }>({
    about: "The CA's certificate is outside its validity, so it cannot issue.",
    exit: EXIT.configuration,
    status: 503,
    message: (f) => `${f.file} ${f.problem}`,
    hint: () =>
      'check the clock of this machine with `date -u`; an issuer that has expired is replaced by `certgate ca rotate issuer`',
  }),
  CG_KEY_MODE: entry<{ file: string; mode: string }>({
    about: 'A private key can be read or changed by others than its owner.',
    exit: EXIT.configuration,
    status: 503,
    message: (f) => `${f.file} has mode ${f.mode}: others than its owner can get at the key`,
    hint: (f) => `chmod 600 ${shellWord(f.file)}`,
  }),
  CG_TRUST_DOMAIN_MISMATCH: entry<{ configured: string; recorded: string; location: string }>({
    about: 'The configured trust domain is not the one the store was made for.',
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
    about: 'A group that an identity is to belong to cannot be written into its certificate.',
    exit: EXIT.usage,
    status: 400,
    message: (f) => `the group ${shown(f.group)}: ${f.problem}`,
    hint: () =>
      'use up to 64 letters, digits and `_/ .:@+-`, 32 groups at most: `certgate issue user/alice --group data/etl`',
  }),

  CG_TOKEN: entry<{ problem: string; remedy: string }>({
    about: 'The text is not a token, or not all of one.',
    exit: EXIT.usage,
    status: 400,
    message: (f) => `not a token: ${f.problem}`,
    hint: (f) => f.remedy,
  }),
  CG_TOKEN_SUBJECT: entry<{ subject: string; problem: string }>({
    about: 'A token cannot be made for that identity, or that pattern of identities.',
    exit: EXIT.usage,
    status: 400,
    message: (f) => `no token for ${shown(f.subject)}: ${f.problem}`,
    hint: () =>
      "name an identity, `certgate token create worker/etl-1`, or a pattern with its limit, `certgate token create 'worker/etl-*' --uses 50`",
  }),
  CG_TOKEN_SPENT: entry<{ token: string }>({
    about: 'A token has expired, was taken back or has been used up.',
    exit: EXIT.refused,
    status: 403,
    message: (f) => `token ${f.token} cannot be used any more`,
    hint: () => 'see `certgate token list`, and make another: `certgate token create worker/etl-1`',
  }),

  CG_RENEW_REFUSED: entry<{ serial: string }>({
    about: 'A certificate that is not on record, revoked or locked is not renewed.',
    exit: EXIT.refused,
    status: 403,
    message: (f) => `certificate ${f.serial} is not renewed: it is not on record, revoked or locked`,
    hint: () => '`certgate list --state revoked` and `certgate locks` say which',
  }),
  CG_ENROLL_GATE: entry<{ gate: string; reason: string }>({
    about: 'The gate to enrol at cannot be reached, or cannot issue now.',
    exit: EXIT.network,
    status: 503,
    message: (f) => `no certificate from ${f.gate}: ${f.reason}`,
    hint: (f) =>
      /^\d{3}: /.test(f.reason)
        ? 'it answers, and its log says why it has none; try again when that is mended'
        : `check that this machine reaches it: \`certgate inspect ${f.gate.replace(/^https:\/\//, '')}\``,
  }),
  CG_ENROLL_PIN: entry<{ gate: string; problem: string }>({
    about: 'The gate to enrol at is not the one that was meant; it was told nothing.',
    exit: EXIT.refused,
    status: 403,
    message: (f) => `${f.gate} is not the gate that is meant: ${f.problem}`,
    hint: () =>
      'a token is for one gate: `certgate token create worker/etl-1 --gate https://HOST:8443` makes one there; --fingerprint is the sha-256 of `certgate inspect certs/root.crt` there. If both are right, somebody stands between',
  }),
  CG_ENROLL_REFUSED: entry<{ gate: string; reason: string }>({
    about: 'The gate refused the token, or the identity token; its log says why, its answer does not.',
    exit: EXIT.refused,
    status: 403,
    message: (f) => `${f.gate} gave no certificate: ${f.reason}`,
    hint: () =>
      'its log says why. A token may be used, expired or revoked: `certgate token list` there; make another with `certgate token create`. An identity token may be used, too old, for another audience, or named by no rule of enroll.issuers',
  }),
  CG_ENROLL_CA: entry<Record<string, never>>({
    about: 'A trust bundle that a gate is to be known by has no root in it.',
    exit: EXIT.usage,
    status: 400,
    message: () => 'there is no root certificate in what --ca names',
    hint: () =>
      "give the gate's certs/ca.crt, or, in its place, --fingerprint HEX of `certgate inspect certs/root.crt`",
  }),
  CG_LOGIN: entry<{ issuer: string; problem: string; remedy?: string }>({
    about: 'Nobody was logged in at the identity provider of a gate.',
    exit: EXIT.refused,
    status: 403,
    message: (f) => `not logged in at ${f.issuer}: ${f.problem}`,
    hint: (f) =>
      f.remedy ??
      'try again, or with a code on another machine: `certgate login --device`; the gate names the provider in enroll.issuers, docs/login.md',
  }),
  CG_LOGIN_REFUSED: entry<{ issuer: string; gate: string; reason: string }>({
    about:
      'The identity provider knows who it is, and the gate has no certificate for them; its log says why, its answer does not.',
    exit: EXIT.refused,
    status: 403,
    message: (f) => `logged in at ${f.issuer}, but ${f.gate} gave no certificate: ${f.reason}`,
    hint: () =>
      'ask who runs the gate; where its log says that no rule of enroll.issuers takes it, that is often for want of a group: once you have it, `certgate login`',
  }),
  CG_LOGIN_ENDED: entry<{ gate: string; ended: string | null }>({
    about: 'A command would use the login of this user, and that has ended, or nobody is logged in.',
    exit: EXIT.refused,
    status: 403,
    message: (f) =>
      f.ended === null ? `nobody is logged in at ${f.gate} here` : `the login at ${f.gate} ended at ${f.ended}`,
    hint: () => 'log in again: `certgate login`',
  }),
  CG_IDENTITY_TOKEN: entry<{ where: string; problem: string }>({
    about: 'There is no identity token where one should be.',
    exit: EXIT.usage,
    status: 400,
    message: (f) => `no identity token in ${f.where}: ${f.problem}`,
    hint: () => 'docs/identity-tokens.md says for each platform how a job or a pod gets one',
  }),
  CG_ENROLL_ANSWER: entry<{ problem: string }>({
    about: 'What the gate answered to an enrolment cannot be used; nothing was written.',
    exit: EXIT.failure,
    status: 502,
    message: (f) => `the answer of the gate cannot be used: ${f.problem}`,
    hint: () => 'compare the versions on both machines: `certgate --version`',
  }),

  // export
  CG_EXPORT: entry<{ what: string; problem: string; remedy: string }>({
    about: 'A certificate cannot be handed over in that form.',
    exit: EXIT.failure,
    status: 400,
    message: (f) => `cannot export ${f.what}: ${f.problem}`,
    hint: (f) => f.remedy,
  }),
  CG_FILE_EXISTS: entry<{ path: string; problem: string; replaceable: boolean; flag?: string }>({
    about: 'The file to write exists already; nothing was changed in it.',
    exit: EXIT.refused,
    status: 409,
    message: (f) => `${f.path} ${f.problem}`,
    hint: (f) => `name another with ${f.flag ?? '--out'} FILE${f.replaceable ? ', or replace it with --force' : ''}`,
  }),
  CG_PASSWORD: entry<{ problem: string; remedy: string }>({
    about: 'There is no password, or it is not one that every program would read alike.',
    exit: EXIT.usage,
    status: 400,
    message: (f) => f.problem,
    hint: (f) => f.remedy,
  }),

  // what a gate refuses, as its record and its answers say
  CG_CLIENT_NO_CERTIFICATE: entry<{ detail: string }>({
    about: 'A client came without a certificate.',
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
    hint: () => 'issue the client one of this CA: `certgate issue worker/etl-1`',
  }),
  CG_CLIENT_EXPIRED: entry<{ detail: string }>({
    about: "A client's certificate has expired.",
    exit: EXIT.refused,
    status: 403,
    message: (f) => `the client certificate has expired: ${f.detail}`,
    hint: () => 'issue it anew: `certgate issue worker/etl-1 --force`',
  }),
  CG_CLIENT_NOT_YET_VALID: entry<{ detail: string }>({
    about: "A client's certificate is not valid yet.",
    exit: EXIT.refused,
    status: 403,
    message: (f) => `the client certificate is not valid yet: ${f.detail}`,
    hint: () => 'compare the clocks of both machines: `date -u`',
  }),
  CG_CLIENT_PURPOSE: entry<{ detail: string }>({
    about: "A client's certificate is not one for TLS clients (RFC 5280 §4.2.1).",
    exit: EXIT.refused,
    status: 403,
    message: (f) => `the client certificate is not for clients: ${f.detail}`,
    hint: () => 'issue the client one of its own: `certgate issue worker/etl-1`',
  }),
  CG_CLIENT_UNRECORDED: entry<{ detail: string }>({
    about: "A client's certificate is signed by this CA, but not in its records.",
    exit: EXIT.refused,
    status: 403,
    message: (f) => `the client certificate is not on record: ${f.detail}`,
    hint: () =>
      "look who has the issuer's key: what is not on record was not issued by certgate, or the store is an old backup",
  }),
  CG_CLIENT_REVOKED: entry<{ detail: string }>({
    about: "A client's certificate was revoked.",
    exit: EXIT.refused,
    status: 403,
    message: (f) => `the client certificate was revoked: ${f.detail}`,
    hint: () => '`certgate list --state revoked` and `certgate audit` say why and by whom',
  }),
  CG_CLIENT_LOCKED: entry<{ detail: string }>({
    about: 'A client, its certificate or everyone is locked: refused for now, not revoked.',
    exit: EXIT.refused,
    status: 403,
    message: (f) => `the client is locked: ${f.detail}`,
    hint: () => '`certgate locks` says by whom, why and until when; `certgate unlock identity worker/etl-1` ends it',
  }),
  CG_REQUEST_TARGET: entry<{ detail: string }>({
    about: "A request's target could be read in two ways.",
    exit: EXIT.refused,
    status: 400,
    message: (f) => `the request target is refused: ${f.detail}`,
    hint: () => 'send the path in its plain form: no `//`, no dot segments, no encoded slash',
  }),
  CG_REQUEST_HOST: entry<{ detail: string }>({
    about: "A request's Host is one that Prefect reserves for itself.",
    exit: EXIT.refused,
    status: 400,
    message: (f) => `the Host is refused: ${f.detail}`,
    hint: () => 'use the name of the gate',
  }),
  CG_RENEW_THROUGH_SIDECAR: entry<{ detail: string }>({
    about: 'Somebody asked for a new certificate through the port of a sidecar, where anybody may be who can reach it.',
    exit: EXIT.refused,
    status: 403,
    message: (f) => `no renewal through a sidecar: ${f.detail}`,
    hint: () =>
      "look what runs beside that sidecar: certificates renew themselves, and Prefect's client never asks for one",
  }),
  CG_EST_REQUEST: entry<{ detail: string }>({
    about: 'An EST client (RFC 7030) asked for what is not offered, or in a form that is none of the standard.',
    exit: EXIT.refused,
    status: 400,
    message: (f) => `not answered over EST: ${f.detail}`,
    hint: () => 'see docs/est.md for what is offered, with commands that work',
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
    about: 'A client lacks a permission that the operation needs, or a role of it denies that permission.',
    exit: EXIT.refused,
    status: 403,
    message: (f) => `not permitted: ${f.detail}`,
    hint: () => '`certgate policy explain user/alice POST /api/flows/` says which role, permission and line',
  }),
  CG_SCOPE: entry<{ detail: string }>({
    about:
      'A client may do this only to what is in its pools or carries its tag, and this is not, or cannot be known to be.',
    exit: EXIT.refused,
    status: 403,
    message: (f) => `beyond the scope: ${f.detail}`,
    hint: () =>
      'docs/policy.md, "Scopes", says what each operation needs; `certgate policy explain` says where it is bound',
  }),
  CG_SCOPE_UNKNOWN: entry<{ detail: string }>({
    about: "The gate has to ask Prefect whose something is, and gets no answer: the client's request waits.",
    exit: EXIT.refused,
    status: 503,
    message: (f) => `whose it is cannot be found out: ${f.detail}`,
    hint: () => '`certgate health` says whether the gate reaches Prefect; clients try again by themselves',
  }),
  CG_REQUEST_BODY: entry<{ detail: string }>({
    about: 'A body has to be read to decide about the request, and it cannot be, or not in one way only.',
    exit: EXIT.refused,
    status: 400,
    message: (f) => `the body is refused: ${f.detail}`,
    hint: () => 'send it as JSON in UTF-8 with a Content-Length, at most 1 MiB, uncompressed, no name twice',
  }),
  CG_OPERATION_UNKNOWN: entry<{ detail: string }>({
    about: 'A client that is no Owner asked for something that the table of operations does not know.',
    exit: EXIT.refused,
    status: 403,
    message: (f) => `unknown operation: ${f.detail}`,
    hint: () => 'it is no operation of Prefect, or of a newer one than this certgate knows: then update certgate',
  }),
  CG_LIMIT_CONNECTIONS: entry<{ detail: string }>({
    about: 'The gate has as many connections as it may have: a new one is reset before its handshake.',
    exit: EXIT.refused,
    status: 503,
    message: (f) => `too many connections: ${f.detail}`,
    hint: () =>
      'raise serve.limits.connections, and the descriptors that the process may have (`ulimit -n`, LimitNOFILE)',
  }),
  CG_LIMIT_ADDRESS: entry<{ detail: string }>({
    about: 'An address has as many connections as it may have: a new one is reset before its handshake.',
    exit: EXIT.refused,
    status: 503,
    message: (f) => `too many connections of one address: ${f.detail}`,
    hint: () => 'raise serve.limits.connectionsPerAddress if many clients share the address',
  }),
  CG_LIMIT_HANDSHAKES: entry<{ detail: string }>({
    about:
      'An address opens connections faster than it may, or shows long chains that lead nowhere: a new one is reset before its handshake.',
    exit: EXIT.refused,
    status: 503,
    message: (f) => `too many handshakes of one address: ${f.detail}`,
    hint: () => 'raise serve.limits.handshakesPerAddress if many clients share the address',
  }),
  CG_LIMIT_IDENTITY: entry<{ detail: string }>({
    about: 'An identity has as many connections as it may have.',
    exit: EXIT.refused,
    status: 429,
    message: (f) => `too many connections of one identity: ${f.detail}`,
    hint: () => 'give each worker an identity of its own, or raise serve.limits.connectionsPerIdentity',
  }),
  CG_LIMIT_REQUESTS: entry<{ detail: string }>({
    about: 'An identity has as many requests in flight as it may have.',
    exit: EXIT.refused,
    status: 429,
    message: (f) => `too many requests of one identity: ${f.detail}`,
    hint: () => 'give each worker an identity of its own, or raise serve.limits.requestsPerIdentity',
  }),
  CG_STORE_UNAVAILABLE: entry<{ detail: string }>({
    about: "The gate cannot read its store, so it can't know who is revoked: it refuses everyone.",
    exit: EXIT.storage,
    status: 503,
    message: (f) => `the store cannot be read: ${f.detail}`,
    hint: () => '`certgate health` and `certgate doctor` say what is wrong with it',
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
