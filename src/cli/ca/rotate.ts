// certgate ca rotate: a new issuer in one step, a new root in three. Each step says what comes next and how to go back.
import { resolve } from 'node:path';
import { Command } from 'commander';
import type { CaChanged, CaPlace } from '../../authority/change.ts';
import {
  activateRoot,
  prepareRoot,
  retireRoot,
  rollbackActivate,
  rollbackIssuer,
  rollbackPrepare,
  rollbackRetire,
  rotateIssuer,
} from '../../authority/rotate.ts';
import { printable, printableJson } from '../escape.ts';
import { usage } from '../flags.ts';
import { describe } from '../help.ts';
import type { CommandIo } from '../io.ts';
import { withSettings } from '../settings.ts';
import { KEY_HERE, sayBundle, sayKeyHere, withCa } from './place.ts';

interface Flags {
  readonly rootKey?: string;
  readonly offlineRoot?: string;
  readonly withoutWaiting?: true;
  readonly rollback?: true;
  readonly keyHere?: true;
  readonly json?: true;
}

/** What a step does, forward and back, and what to say after it. */
interface Step {
  readonly forward: (place: CaPlace, flags: Flags, io: CommandIo) => Promise<CaChanged>;
  readonly back: (place: CaPlace) => Promise<CaChanged>;
  readonly done: string;
  readonly undone: string;
}

const steps: Readonly<Record<string, Step>> = {
  issuer: {
    forward: (place, { rootKey }, io) => rotateIssuer(place, rootKey === undefined ? null : resolve(io.cwd, rootKey)),
    back: rollbackIssuer,
    done: 'another issuer issues now; the old one is trusted until its certificates have expired',
    undone: 'the issuer before issues again',
  },
  'root prepare': {
    forward: (place, { offlineRoot }, io) =>
      prepareRoot(place, offlineRoot === undefined ? {} : { keyDir: resolve(io.cwd, offlineRoot) }),
    back: rollbackPrepare,
    done: 'both roots are trusted; connected sidecars fetch the new bundle by themselves. next: certgate ca status, then certgate ca rotate root activate',
    undone: 'the prepared root is no longer trusted',
  },
  'root activate': {
    forward: (place, { withoutWaiting }) => activateRoot(place, withoutWaiting === true),
    back: rollbackActivate,
    done: 'the new root issues now; both are trusted. next, once nobody has a certificate of the old one: certgate ca rotate root retire',
    undone: 'the root before issues again; the new one is prepared',
  },
  'root retire': {
    forward: (place) => retireRoot(place),
    back: rollbackRetire,
    done: 'the old root is no longer trusted; its key may be destroyed',
    undone: 'the old root is trusted again',
  },
};

export function rotateCommand(io: CommandIo): Command {
  const command = describe(new Command('rotate'), 'replace the issuer, or the root step by step', {
    examples: [
      ['a new issuer under the same root', 'certgate ca rotate issuer'],
      [
        '… with the root key in the place where it is kept',
        'certgate ca rotate issuer --root-key /media/vault/root.key',
      ],
      [
        'a new root, its key kept elsewhere: trusted beside the old one',
        'certgate ca rotate root prepare --offline-root /media/vault',
      ],
      ['… once `certgate ca status` names nobody: issue from it', 'certgate ca rotate root activate'],
      ['… once nobody has a certificate of the old one: stop trusting that', 'certgate ca rotate root retire'],
      ['undo a step', 'certgate ca rotate root activate --rollback'],
    ],
    notes: [
      'a running gate rotates the issuer by itself at two thirds of its lifetime, if the root key is in certs/.',
      'activate is refused while somebody does not have the new bundle, retire while somebody needs the old root.',
    ],
  })
    .argument('<WHAT>', 'issuer or root')
    .argument('[STEP]', 'of a root: prepare, activate or retire')
    .option('--root-key <FILE>', "the key that signs the issuer (default: the root's, in certs/)")
    .option('--offline-root <DIR>', "prepare: where the new root's key goes (default: certs/)")
    .option(
      '--without-waiting',
      'activate although somebody does not have the bundle: they cannot reach the gate until they do',
    )
    .option(...KEY_HERE)
    .option('--rollback', 'undo that step')
    .option('--json', 'print JSON');
  return withSettings(command, ['ca.passphraseFile', 'ca.signer']).action(
    async (what: string, name: string | undefined, flags: Flags) => {
      const step = stepOf(what, name);
      requireFitting(what, name, flags);
      const deed = (place: CaPlace): Promise<CaChanged> =>
        flags.rollback === true ? step.back(place) : step.forward(place, flags, io);
      const { trust, files, bundleProblem } = await withCa(command, io, deed, flags.keyHere === true);
      const certificates = trust.records.map(({ role, generation, state, keyId }) => ({
        role,
        generation,
        state,
        keyId,
      }));
      if (flags.json === true) io.out(printableJson({ certificates, bundle: trust.bundleId, files }, 2));
      else for (const file of files) io.out(printable(file));
      // Taken back twice, it is the newer one again.
      const which = step === steps['issuer'] ? `: issuer ${trust.activeIssuer?.generation}` : '';
      io.say(flags.rollback === true ? `${step.undone}${which}` : step.done);
      if (flags.keyHere === true) sayKeyHere(files, io);
      const rootKey = files.find((file) => /\/root(-\d+)?\.key$/.test(file));
      if (rootKey !== undefined && flags.offlineRoot === undefined) {
        io.say(
          printable(`the new root's key is in ${rootKey}: with it anybody is this CA, and the gate does not need it.`),
        );
        io.say('move it away now, or undo this step and name a folder elsewhere: --offline-root DIR');
      }
      sayBundle(bundleProblem, io);
    },
  );
}

function stepOf(what: string, name: string | undefined): Step {
  const step = steps[name === undefined ? what : `${what} ${name}`];
  if (step !== undefined) return step;
  const problem = name === undefined ? `what is to be rotated is ${what}` : `there is no step ${what} ${name}`;
  throw usage(problem, `it is one of: certgate ca rotate ${Object.keys(steps).join(', ')}`);
}

function requireFitting(what: string, name: string | undefined, flags: Flags): void {
  const odd = [
    flags.rootKey !== undefined && (what !== 'issuer' || flags.rollback === true) ? '--root-key' : null,
    flags.offlineRoot !== undefined && (name !== 'prepare' || flags.rollback === true) ? '--offline-root' : null,
    flags.keyHere === true && ((what !== 'issuer' && name !== 'prepare') || flags.rollback === true)
      ? '--key-here'
      : null,
    flags.withoutWaiting === true && (name !== 'activate' || flags.rollback === true) ? '--without-waiting' : null,
  ].find((flag) => flag !== null);
  if (odd !== undefined) throw usage(`${odd} is not for this step`, 'see certgate ca rotate --help');
}
