#!/usr/bin/env python3
"""Makes src/authority/debian-weak-keys.bin: the RSA keys that Debian's and Ubuntu's OpenSSL of 2006 to 2008 could make
(CVE-2008-0166), out of the list that badkeys 0.0.3 ships (MIT: src/authority/debian-weak-keys.LICENSE).

Run: python3 scripts/weak-keys/make.py        downloads the wheel, checks its hash, writes the file
     python3 scripts/weak-keys/make.py WHEEL  takes the wheel from there

badkeys/keydata/rsabl.dat is a sorted list of 16 octets each: the first 15 of SHA-256 of the modulus (unsigned, big-endian,
no leading zero octet) and the number of a list. Taken are the lists of the openssl tool (3: 9 kinds of machine times
32,768 process ids times 4 sizes of key) and of ssh-keygen (4). Of each hash 40 bits are kept, in 65,536 buckets by its
first two octets: a table with one octet a bucket, how many are in it, then three octets of each hash, in order. Another
key is taken for one of these once in 800,000 times; its owner makes a new one.
"""

import hashlib
import pathlib
import subprocess
import sys
import tempfile
import zipfile

WHEEL = "ebd2a88236f44513f27980d2d1a48f2266d8a3b4ec195b8fb983be5cffee209f"
LISTS = {3: 1_179_648, 4: 168_923}
OUT = pathlib.Path(__file__).resolve().parents[2] / "src/authority/debian-weak-keys.bin"


def wheel_octets() -> bytes:
    if len(sys.argv) > 1:
        return pathlib.Path(sys.argv[1]).read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, "badkeys==0.0.3"],
            check=True,
        )
        return next(pathlib.Path(folder).glob("*.whl")).read_bytes()


def main() -> None:
    octets = wheel_octets()
    if hashlib.sha256(octets).hexdigest() != WHEEL:
        sys.exit("that is not the wheel of badkeys 0.0.3 that this was written for")
    with tempfile.TemporaryFile() as file:
        file.write(octets)
        data = zipfile.ZipFile(file).read("badkeys/keydata/rsabl.dat")
    entries = [data[at : at + 16] for at in range(0, len(data), 16)]
    for number, count in LISTS.items():
        if sum(entry[15] == number for entry in entries) != count:
            sys.exit(f"list {number} has not the {count} entries that it had")
    kept = sorted({entry[:5] for entry in entries if entry[15] in LISTS})
    counts = bytearray(65_536)
    for prefix in kept:
        counts[int.from_bytes(prefix[:2], "big")] += 1
    out = bytes(counts) + b"".join(prefix[2:] for prefix in kept)
    OUT.write_bytes(out)
    print(f"{OUT.name}: {len(kept)} keys, {len(out)} octets, sha256 {hashlib.sha256(out).hexdigest()}")


main()
