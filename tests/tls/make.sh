#!/bin/sh
# Makes the certificates of the stand-in for a hub (../stand_in.rs): an authority that nobody knows, and a server's
# certificate for loopback that it has signed. Good for a hundred years, and for nothing: the keys are here to be read.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
openssl ecparam -name prime256v1 -genkey -noout -out "$work/authority.key"
openssl req -x509 -new -key "$work/authority.key" -days 36500 -subj "/CN=taiyi-search test authority" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign" -out authority.pem
openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out server.key
openssl req -new -key server.key -subj "/CN=localhost" -out "$work/server.csr"
printf 'subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1\nbasicConstraints=critical,CA:FALSE\n' >"$work/extensions"
openssl x509 -req -in "$work/server.csr" -CA authority.pem -CAkey "$work/authority.key" -CAcreateserial -CAserial "$work/serial" -days 36500 \
    -extfile "$work/extensions" -out server.pem
rm -r "$work"
