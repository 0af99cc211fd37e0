# Makes the database once and runs it. A cluster whose making was interrupted is made anew: it was never used.
if ! [ -e "$PGDATA/made" ]; then
  rm -rf "$PGDATA"
  initdb --username=signalbox --pwfile="$PASSWORD_FILE" --auth=scram-sha-256 --encoding=UTF8 --locale=C
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
  echo 'CREATE DATABASE signalbox' | postgres --single -D "$PGDATA" postgres
  touch "$PGDATA/made"
fi
exec postgres -p "${PORT:-5432}" -k /tmp -c listen_addresses='*' -c password_encryption=scram-sha-256
