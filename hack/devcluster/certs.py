"""A certificate authority of the cluster's own, and the kubeconfigs that carry what it signed."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .console import ClusterError


def _openssl(*arguments: str, stdin: str = "") -> None:
    done = subprocess.run(["openssl", *arguments], input=stdin, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise ClusterError(f"openssl {arguments[0]} failed: {done.stderr.strip()[-500:]}")


def _key(path: Path) -> None:
    _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(path))
    path.chmod(0o600)


def authority(pki: Path, name: str) -> None:
    """Create `pki/NAME.crt` and `.key`, self-signed, good for a year."""
    pki.mkdir(parents=True, exist_ok=True)
    key = pki / f"{name}.key"
    _key(key)
    extensions = "basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,digitalSignature"
    added = [part for text in extensions for part in ("-addext", text)]
    subject = f"/CN=akeso-{name}"
    _openssl(
        "req", "-x509", "-new", "-key", str(key), "-subj", subject, "-days", "365", *added, "-out", f"{pki}/{name}.crt"
    )


def issue(pki: Path, name: str, subject: str, addresses: Sequence[str] = (), signer: str = "ca") -> None:
    """Create `pki/NAME.crt` and `.key` for `subject` (such as `/O=system:nodes/CN=system:node:a`).

    With `addresses` ("DNS:…" or "IP:…") it serves TLS; without it only identifies a client.
    """
    key, request, extensions = pki / f"{name}.key", pki / f"{name}.csr", pki / f"{name}.ext"
    _key(key)
    _openssl("req", "-new", "-key", str(key), "-subj", subject, "-out", str(request))
    usage = "serverAuth,clientAuth" if addresses else "clientAuth"
    names = f"subjectAltName={','.join(addresses)}\n" if addresses else ""
    extensions.write_text(f"basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage={usage}\n{names}")
    ca = ["-CA", f"{pki}/{signer}.crt", "-CAkey", f"{pki}/{signer}.key", "-CAcreateserial"]
    signing = ["-days", "365", "-extfile", str(extensions), "-out", f"{pki}/{name}.crt"]
    _openssl("x509", "-req", "-in", str(request), *ca, *signing)
    request.unlink()
    extensions.unlink()


def service_account_key(pki: Path) -> None:
    """The key pair that signs and checks ServiceAccount tokens: `sa.key`, `sa.pub`."""
    _key(pki / "sa.key")
    _openssl("pkey", "-in", f"{pki}/sa.key", "-pubout", "-out", f"{pki}/sa.pub")


def kubeconfig(pki: Path, name: str, server: str, path: Path, context: str) -> None:
    """Write a kubeconfig (JSON is YAML) which embeds the CA and the client certificate NAME."""

    def embedded(file: Path) -> str:
        return base64.b64encode(file.read_bytes()).decode()

    user = {"client-certificate-data": embedded(pki / f"{name}.crt"), "client-key-data": embedded(pki / f"{name}.key")}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "clusters": [
            {
                "name": context,
                "cluster": {"server": server, "certificate-authority-data": embedded(pki / "ca.crt")},
            }
        ],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": name, "namespace": "default"}}],
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(document, indent=1) + "\n")
