// certgate ca csr and certgate ca import: an issuer under a company's CA whose key is out of reach.
import { Command } from 'commander';
import { importIssuer, requestIssuer } from '../../authority/import-issuer.ts';
import { printable, printableJson } from '../escape.ts';
import { describe } from '../help.ts';
import type { CommandIo } from '../io.ts';
import { readNamed } from '../named-file.ts';
import { withSettings } from '../settings.ts';
import { KEY_HERE, sayBundle, withCa } from './place.ts';

export function csrCommand(io: CommandIo): Command {
  const command = describe(
    new Command('csr'),
    "make a request for the next issuer's certificate, to be signed elsewhere",
    {
      examples: [
        ['the request, on stdout', 'certgate ca csr > issuer.csr'],
        [
          'what the company does with it, if it uses OpenSSL',
          'openssl x509 -req -in issuer.csr -CA corp.crt -CAkey corp.key -days 365 -copy_extensions none -extfile issuer.ext -out issuer.pem',
        ],
        ['import what comes back', 'certgate ca import issuer.pem'],
      ],
      notes: [
        'its key stays in certs/. Run again, the command prints the pending request.',
        'the signed certificate must have: CA:TRUE, pathlen:0, keyCertSign and cRLSign.',
      ],
    },
  )
    .option(...KEY_HERE)
    .option('--json', 'print JSON');
  return withSettings(command, ['ca.passphraseFile', 'ca.signer']).action(async (flags: CsrFlags) => {
    const keyHere = flags.keyHere === true;
    const { request, requestFile, keyFile, again } = await withCa(
      command,
      io,
      (place) => requestIssuer(place),
      keyHere,
    );
    if (flags.json === true) io.out(printableJson({ request, requestFile, keyFile, again }, 2));
    else io.out(request.trimEnd());
    const words = again ? 'that request waits already' : `made ${keyFile}`;
    io.say(printable(`${words}; the request is in ${requestFile} too. next: certgate ca import SIGNED.pem`));
    if (keyHere && !again)
      io.say('the signer wants a copy of the key by then; once it has been imported, remove the one here');
  });
}

interface CsrFlags {
  readonly keyHere?: true;
  readonly json?: true;
}

export function importCommand(io: CommandIo): Command {
  const command = describe(new Command('import'), "import the issuer's certificate that was signed elsewhere", {
    examples: [
      ['the signed certificate, alone or with those above it', 'certgate ca import issuer.pem'],
      ['see the result', 'certgate ca status'],
    ],
    notes: ['it issues from now on; the previous issuer is trusted until its certificates have expired.'],
  })
    .argument('<FILE>', 'PEM')
    .option('--json', 'print JSON');
  return withSettings(command, ['ca.passphraseFile', 'ca.signer']).action(
    async (file: string, flags: { readonly json?: true }) => {
      const pem = readNamed(file, io).toString('utf8');
      const { trust, files, bundleProblem, warnings } = await withCa(command, io, (place) =>
        importIssuer(place, pem, file),
      );
      if (flags.json === true)
        io.out(printableJson({ files, issuer: trust.activeIssuer?.keyId, bundle: trust.bundleId, warnings }, 2));
      else for (const path of files) io.out(printable(path));
      io.say('the imported issuer issues now');
      for (const warning of warnings) io.say(printable(`warning: ${warning}`));
      sayBundle(bundleProblem, io);
    },
  );
}
