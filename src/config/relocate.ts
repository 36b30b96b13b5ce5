// A certgate.yaml for another place: the folders of keys and store as they are there, everything else as it was, comments
// too. Pure.
import { parseDocument } from 'yaml';

/** `text` with its `certsDir` and `stateDir`, where it has them, set to the folders beside it that `init` makes. */
export function withOwnFolders(text: string): string {
  const document = parseDocument(text);
  for (const [key, folder] of [
    ['certsDir', 'certs'],
    ['stateDir', 'state'],
  ] as const) {
    if (document.has(key)) document.set(key, folder);
  }
  return document.toString({ lineWidth: 0, flowCollectionPadding: false });
}
