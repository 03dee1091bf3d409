#!/usr/bin/env bash
# A PostgreSQL server of one's own for tests and trials: Debian's packages, a cluster in one folder, loopback only, with a password.
#
#   .ci/postgres.sh install             install the packages where there are none (root, apt)
#   .ci/postgres.sh start DIR           make the cluster in DIR if need be, start it, print the URL of its database
#   .ci/postgres.sh restart DIR [MODE]  as pg_ctl does: fast (default) or immediate, which is a crash and a recovery
#   .ci/postgres.sh stop DIR            DIR may be removed afterwards
#
#   export STUDIES_DB="$(.ci/postgres.sh start /tmp/studies-db)"
set -euo pipefail

fail() { echo "error: $*" >&2; exit 2; }

# Debian keeps the server's programs out of PATH, one folder for each version.
find_programs() {
    if command -v initdb >/dev/null && command -v pg_ctl >/dev/null; then return 0; fi
    local newest
    newest="$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t/ -k5 -n | tail -n 1)"
    [ -n "$newest" ] && [ -x "$newest/initdb" ] && PATH="$newest:$PATH"
}

install_packages() {
    if find_programs; then return 0; fi
    local remedy="install PostgreSQL's server, such as: sudo apt-get install postgresql"
    command -v apt-get >/dev/null || fail "no PostgreSQL here, and no apt-get; install its server (initdb, pg_ctl, postgres) with your system's packages"
    [ "$(id -u)" = 0 ] || fail "no PostgreSQL here, and only root may install it; $remedy"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends postgresql-common >&2
    # The packages would start a cluster of their own on port 5432.
    sed -i 's/^#\? *create_main_cluster *=.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
    apt-get install -y -qq --no-install-recommends postgresql >&2
    find_programs || fail "the packages are installed, but initdb is not to be found below /usr/lib/postgresql"
}

# PostgreSQL refuses to run as root.
as_owner() {
    if [ "$(id -u)" = 0 ]; then runuser -u "$owner" -- "$@"; else "$@"; fi
}

make_cluster() {
    mkdir -p "$dir"
    chmod 700 "$dir"
    local port password
    port="$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
    password="$(head -c 18 /dev/urandom | base64)"
    (umask 077; printf '%s' "$password" >"$dir/password")
    [ "$(id -u)" != 0 ] || chown -R "$owner" "$dir"
    as_owner test -x "$dir/.." || fail "$dir: the user $owner, who is to own the cluster, can't get there; take a folder below one that is open to all, such as /tmp"
    as_owner initdb --pgdata="$dir/data" --username=search --pwfile="$dir/password" --auth=scram-sha-256 --encoding=UTF8 --no-locale --no-sync >"$dir/initdb.log"
    printf "listen_addresses = '127.0.0.1'\nport = %s\nunix_socket_directories = ''\n" "$port" >>"$dir/data/postgresql.conf"
    (umask 077; python3 -c 'import sys, urllib.parse
print(f"postgresql+psycopg://search:{urllib.parse.quote(sys.argv[1], safe=str())}@127.0.0.1:{sys.argv[2]}/postgres")' "$password" "$port" >"$dir/url")
}

command="${1:-}"
dir="${2:+$(realpath -m -- "$2")}"
owner=postgres
id -u postgres >/dev/null 2>&1 || owner=nobody
case "$command" in
    install) install_packages ;;
    start | restart | stop)
        [ -n "$dir" ] || fail "$command needs a folder: .ci/postgres.sh $command DIR"
        find_programs || fail "no PostgreSQL here; run .ci/postgres.sh install"
        if [ ! -f "$dir/url" ]; then
            [ "$command" = start ] || fail "$dir holds no cluster of this script"
            make_cluster
        fi
        cd "$dir"  # the owner may not read the folder that this was called in
        case "$command" in
            start) as_owner pg_ctl start --pgdata="$dir/data" --log="$dir/server.log" --wait --silent || { cat "$dir/server.log" >&2; exit 1; } ;;
            restart) as_owner pg_ctl restart --pgdata="$dir/data" --log="$dir/server.log" --wait --silent --mode="${3:-fast}" ;;
            stop) as_owner pg_ctl stop --pgdata="$dir/data" --wait --silent --mode="${3:-fast}" ;;
        esac
        [ "$command" != start ] || cat "$dir/url"
        ;;
    *) fail "one of install, start DIR, restart DIR, stop DIR; found: ${command:-nothing}" ;;
esac
