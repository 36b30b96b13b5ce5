// The part of the schema about private keys: what opens them, and where the CA's are. The passphrase itself may come from
// the environment only, never from the file or a flag.

import * as z from 'zod/mini';
import { parseSocketPath } from './address.ts';
import { aFile, optionalText } from './setting.ts';

/** What opens encrypted keys where no file is named. */
export const passphrase = () =>
  optionalText(
    { about: 'The passphrase of encrypted private keys, if no file is set for them.', environmentOnly: true },
    { wants: 'text', example: 'correct-horse-battery-staple', accepts: (value) => value !== '' },
  );

/** An outbound sidecar's. */
export const clientKey = () => ({
  key: optionalText(
    {
      about: "The client's private key (PEM), instead of the folder's tls.key.",
      flag: '--key',
    },
    aFile('tls.key'),
  ),
  passphraseFile: optionalText(
    {
      about: "File whose first line is the passphrase of the client's private key, if that is encrypted (mode 0600).",
      flag: '--passphrase-file',
    },
    aFile('/run/secrets/key-passphrase'),
  ),
});

/** By what an outbound sidecar knows a gate whose trust bundle it has not got yet. */
export const gateFingerprint = () => ({
  fingerprint: optionalText(
    {
      about:
        "SHA-256 of the root's certificate, in hex: verifies the gate before it is shown an identity token, if there is no `ca` here yet.",
      flag: '--fingerprint',
    },
    {
      wants: '64 hexadecimal digits, with or without colons, as `certgate inspect certs/root.crt` shows them',
      example: 'a4'.repeat(32),
      accepts: (value) => /^[0-9a-fA-F]{64}$/.test(value.replaceAll(':', '')),
    },
  ),
});

/** The CA's keys. */
export const ca = () =>
  z.strictObject({
    passphraseFile: optionalText(
      {
        about: "File whose first line is the passphrase of the CA's private keys (mode 0600).",
        flag: '--passphrase-file',
      },
      aFile('/run/secrets/ca-passphrase'),
    ),
    signer: optionalText(
      {
        about: "Socket of a `certgate signer` that holds the issuer's key, instead of the file issuer.key.",
        flag: '--signer',
      },
      {
        kind: 'address',
        wants: 'unix:/path',
        example: 'unix:/run/certgate/signer.sock',
        accepts: (value) => parseSocketPath(value) !== null,
      },
    ),
  });
