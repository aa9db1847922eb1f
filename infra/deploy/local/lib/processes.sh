# shellcheck shell=bash disable=SC2154 # `here` and the places are set by `stack`
# Ports, processes and waiting: what all servers share. Sourced by `stack`.

START_WITHIN_S=240 # how long a server may take to answer, on a busy machine
STOP_WITHIN_S=30   # how long it may take to stop in order, before it is killed

fail() {
    echo "stack: $*" >&2
    exit 1
}

# need_program <program> <Debian package>
need_program() {
    command -v "$1" >/dev/null || fail "$1 is missing: apt-get install $2"
}

# The folder of a server.
folder() {
    mkdir -p "$STACK_DATA/$1"
    echo "$STACK_DATA/$1"
}

# port <server> [use]: chosen once and then kept, so that clients and peers find it after a restart.
port() {
    local file=$STACK_DATA/ports name=$1${2:+.$2} found
    found=$(sed -n "s/^$name=//p" "$file" 2>/dev/null || true)
    if [[ -z $found ]]; then
        found=$(free_port)
        echo "$name=$found" >>"$file"
    fi
    echo "$found"
}

# A port below the range that the system gives to outgoing connections, so that none takes it
# while its server is down.
free_port() {
    local lowest candidate
    read -r lowest _ </proc/sys/net/ipv4/ip_local_port_range
    for _ in {1..500}; do
        candidate=$((10000 + (RANDOM * 32768 + RANDOM) % (lowest > 12000 ? lowest - 10000 : 20000)))
        grep -qs "=$candidate\$" "$STACK_DATA/ports" && continue
        (exec 3<>"/dev/tcp/127.0.0.1/$candidate") 2>/dev/null && continue
        echo "$candidate"
        return
    done
    fail "no free port"
}

# When the process began, in ticks since the machine did; nothing for a zombie. A process id alone
# may have been given to somebody else since.
began() {
    local line
    line=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    # shellcheck disable=SC2086
    set -- ${line##*) }
    [[ $1 != [ZX] ]] && echo "${20}"
}

# The process id of a server that runs; false when it does not.
process() {
    local id at
    read -r id at 2>/dev/null <"$STACK_DATA/$1/process" || return 1
    [[ $(began "$id") == "$at" ]] && echo "$id"
}

# launch <server> <program> [argument]…: in the background, in a session of its own, with no file
# of ours open (a lock that the caller holds would be held for as long as the server runs).
launch() {
    local server=$1 where id
    process "$server" >/dev/null && return
    where=$(folder "$server")
    stat -c %s "$where/said" >"$where/said.before" 2>/dev/null || echo 0 >"$where/said.before"
    (
        for open in /proc/self/fd/*; do
            open=${open##*/}
            ((open > 2)) && eval "exec $open>&-" 2>/dev/null
        done
        cd "$where" || exit
        exec setsid "${@:2}" >>"$where/said" 2>&1 </dev/null
    ) &
    id=$!
    disown # its end is nobody's news
    echo "$id $(began "$id")" >"$where/process"
}

# What a server said since it was launched.
said() {
    tail -c "+$(($(cat "$STACK_DATA/$1/said.before") + 1))" "$STACK_DATA/$1/said" 2>/dev/null
}

# wait_until <server> <condition> [argument]…: fails, with its last words, when the server dies.
wait_until() {
    local server=$1 deadline=$((SECONDS + START_WITHIN_S))
    until "${@:2}"; do
        if ! process "$server" >/dev/null; then
            said "$server" | tail -20 >&2
            fail "$server died while it started; all it said: $STACK_DATA/$server/said"
        fi
        ((SECONDS < deadline)) || fail "$server does not answer after $START_WITHIN_S s"
        sleep 0.1
    done
}

signal() {
    local id
    if id=$(process "$2"); then kill "-$1" "$id"; fi
}

# Waits until a server has stopped; kills it when that takes too long.
gone() {
    local deadline=$((SECONDS + STOP_WITHIN_S)) id
    while id=$(process "$1"); do
        ((SECONDS < deadline)) || kill -KILL "$id"
        sleep 0.05
    done
    rm -f "$STACK_DATA/$1/process"
}

# asks <port> <request> <bytes>: sends bytes (as for printf) and prints the first bytes of the
# answer in hexadecimal; nothing when nobody listens.
asks() {
    {
        exec 3<>"/dev/tcp/127.0.0.1/$1" &&
            printf '%b' "$2" >&3 &&
            timeout 2 head -c "$3" <&3 | od -An -v -tx1 | tr -d ' \n'
    } 2>/dev/null
}

resident() {
    awk '/^VmRSS/ { print int($2 / 1024) }' "/proc/$1/status"
}

# The folder with a server's jars, fetched by Maven the first time: `jars kafka`.
jars() {
    local of=$1 version to
    version=$(cksum <"$here/$of/pom.xml" | cut -d' ' -f1)
    to=$STACK_CACHE/$of-$version
    if [[ ! -d $to ]]; then
        need_program mvn maven
        echo "fetching $of from the Maven repository, once" >&2
        rm -rf "$to.part.$$"
        mvn -B -ntp -q -f "$here/$of/pom.xml" dependency:copy-dependencies \
            -DincludeScope=runtime -DoutputDirectory="$to.part.$$" >&2 ||
            fail "Maven could not fetch $of"
        # Whoever comes first keeps the place; the others' copies are the same.
        mv -T "$to.part.$$" "$to" 2>/dev/null || rm -rf "$to.part.$$"
    fi
    echo "$to"
}

addresses() {
    local brokers="" server
    for server in $(kafka_servers); do brokers+=${brokers:+,}127.0.0.1:$(port "$server"); done
    echo "KAFKA=kafka://$brokers"
    echo "CASSANDRA=cassandra://127.0.0.1:$(port cassandra)"
    echo "REDIS=redis://127.0.0.1:$(port redis)"
    echo "REDIS_CLUSTER=redis://127.0.0.1:$(port redis-cluster)"
    if secured; then tls_addresses; fi
}
