// certgate login: a person's certificate for a working day, by logging in at the identity provider that the gate names, in the
// browser or with a code on another machine. The gate is verified before it is asked anything.
import { Command } from 'commander';
import { parseOrigin } from '../config/address.ts';
import { identityTokenCredential, type Pin } from '../enroll/credential.ts';
import { getFromGate } from '../enroll/enroll-client.ts';
import { type EnrolledFolder, enrollToFolder } from '../enroll/enroll-to-folder.ts';
import { type LoginWays, logIn } from '../enroll/login.ts';
import { LOGIN_PATH, type LoginAnswer, readDetail, readLogin } from '../enroll/wire.ts';
import { CertgateError, isCertgateError, shellWord, shown } from '../errors.ts';
import { enrolledWords } from './enroll.ts';
import { printable, printableJson } from './escape.ts';
import { usage } from './flags.ts';
import { describe } from './help.ts';
import { namesPin, pinOf } from './identity-token-source.ts';
import type { CommandIo } from './io.ts';
import { loginIdentity, prepareLoginFolder, type RememberedGate, rememberedGate, rememberGate } from './login-place.ts';
import { openBrowser } from './open-browser.ts';
import { configOf, withSettings } from './settings.ts';

interface Flags {
  readonly device?: true;
  readonly json?: true;
}

export function loginCommand(io: CommandIo): Command {
  const command = describe(new Command('login'), "log in at a gate's identity provider, and get a certificate", {
    examples: [
      [
        'the first time; the gate and its fingerprint are remembered',
        'certgate login https://gate.example:8443 --fingerprint "$ROOT"',
      ],
      ['the next morning', 'certgate login'],
      ['on a machine without a browser', 'certgate login --device'],
      ['then', 'certgate run -- prefect work-pool ls'],
    ],
    notes: [
      "the fingerprint is the sha-256 that `certgate inspect certs/root.crt` shows on the gate; --ca FILE with the gate's certs/ca.crt works as well.",
      "the certificate is not renewed: log in again. It is kept in this user's state folder; certgate logout removes it.",
    ],
  })
    .argument('[GATE]', 'the gate, e.g. https://gate.example:8443 (default: the one of the last login)')
    .option('--device', 'show a code to enter on another machine')
    .option('--json', 'print JSON');
  const settings = ['connect.ca', 'connect.fingerprint', 'connect.serverName'];
  return withSettings(command, settings).action(async (address: string | undefined, flags: Flags) => {
    const place = gateOf(address, command, io);
    const gate = new URL(place.gate);
    const login = await loginOf(gate, place);
    if (flags.device === true && !login.device) throw noDevice(login.issuer);
    let token: Promise<string> | null = null;
    const credential = identityTokenCredential(
      // Once, however often the gate has to be asked.
      (key) => (token ??= logIn(login, key, waysOf(login, flags, io))),
      gate,
      place.pin,
    );
    prepareLoginFolder(io.env);
    const enrolled = await enrollToFolder({
      ...{ credential, identity: null, gate: null, serverName: place.serverName, patienceMs: 30_000, force: true },
      out: loginIdentity(io.env),
      waiting: (reason, ms) => io.say(printable(`${reason}; trying again in ${(ms / 1000).toFixed(1)} s`)),
    }).catch((error: unknown) => {
      if (!isCertgateError(error, 'CG_ENROLL_REFUSED')) throw error;
      throw new CertgateError('CG_LOGIN_REFUSED', { issuer: login.issuer, ...error.facts }, { cause: error });
    });
    await rememberGate(io.env, place);
    tell(enrolled, place, flags, io);
  });
}

/** The gate that is named, or the one of the last login; and by what it is known. CG_USAGE, CG_FILE. */
function gateOf(address: string | undefined, command: Command, io: CommandIo): RememberedGate {
  const config = configOf(command, io);
  const before = rememberedGate(io.env);
  if (address !== undefined && parseOrigin(address, 'https') === null) {
    throw usage(`GATE is ${shown(address)}`, 'write it as https://host:port, e.g. https://gate.example:8443');
  }
  const gate = address ?? config.connect.gate ?? before?.gate;
  if (gate === undefined) {
    throw usage('no gate', 'name it the first time: certgate login https://gate.example:8443 --fingerprint HEX');
  }
  const { origin } = new URL(gate);
  const isKnown = before?.gate === origin;
  const pin: Pin = isKnown && !namesPin(config) ? before.pin : pinOf(config);
  return { gate: origin, pin, serverName: config.connect.serverName ?? (isKnown ? before.serverName : null) };
}

/** Where people log in. CG_LOGIN, and what `getFromGate` throws. */
async function loginOf(gate: URL, { pin, serverName }: RememberedGate): Promise<LoginAnswer> {
  const { status, text } = await getFromGate(gate, pin, serverName, LOGIN_PATH);
  const login = status === 200 ? readLogin(text) : null;
  if (login !== null && URL.parse(login.issuer)?.protocol === 'https:') return login;
  const said = status === 200 ? '' : ` (${status}: ${readDetail(text)})`;
  const problem = `this gate names no provider to log in at${said}`;
  const remedy =
    'whoever runs it names one in enroll.issuers (docs/login.md); or ask for a token: certgate enroll --token-file FILE';
  throw new CertgateError('CG_LOGIN', { issuer: gate.origin, problem, remedy });
}

function noDevice(issuer: string): CertgateError {
  const remedy = 'log in without --device, or have whoever runs the gate allow them: login.device, docs/login.md';
  return new CertgateError('CG_LOGIN', { issuer, problem: 'its gate takes no device codes', remedy });
}

function waysOf({ issuer }: LoginAnswer, flags: Flags, io: CommandIo): LoginWays {
  return {
    device: flags.device === true,
    open(address: string, once: string) {
      io.say(printable(`log in at ${new URL(issuer).host}; if no browser opens, open this on this machine:`));
      io.say(printable(address));
      openBrowser(once, io.env);
    },
    showCode(url: string, code: string) {
      io.say(printable(`on any machine, open ${url}`));
      io.say(printable(`and see that it shows the code ${code}`));
    },
  };
}

function tell(enrolled: EnrolledFolder, { gate }: RememberedGate, flags: Flags, io: CommandIo): void {
  if (flags.json === true) {
    const { notAfter, ...rest } = enrolled;
    io.out(printableJson({ ...rest, gate, notAfter: new Date(notAfter).toISOString() }, 2));
    return;
  }
  io.out(printable(enrolled.path));
  for (const line of enrolledWords(enrolled)) io.say(line);
  io.say(`${io.program} run -- CMD and ${io.program} connect use it; for the browser:`);
  io.say(printable(`${io.program} export ${shellWord(enrolled.path)} --out certgate.p12`));
}
