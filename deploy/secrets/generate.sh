#!/bin/sh
# Writes the Secrets' values beside the templates, at random: `sh deploy/secrets/generate.sh`.
# They stay on this machine (git ignores them), only you can read them, and what is there
# already is kept. For the cloud overlay: copy the template in cloud/ and fill it in.
set -eu
umask 077
cd "$(dirname "$0")"

hexadecimal() { # of so many random bytes
  od -An -vtx1 -N"$1" /dev/urandom | tr -d ' \n'
}

write() { # a file of the lines on standard input, as a whole or not at all
  if [ -e "$1" ]; then
    echo "$1 is there already, and kept"
    return
  fi
  cat > "$1.part"
  mv "$1.part" "$1"
  echo "$1 written"
}

for name in s3 s3-mlflow s3-serving; do
  printf 'AWS_ACCESS_KEY_ID=%s\nAWS_SECRET_ACCESS_KEY=%s\n' \
    "$(hexadecimal 10)" "$(hexadecimal 20)" | write "$name.env"
done
printf 'POSTGRES_PASSWORD=%s\n' "$(hexadecimal 24)" | write database.env
