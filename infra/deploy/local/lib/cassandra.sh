# shellcheck shell=bash disable=SC2154 # `here` is set by `stack`
# One Apache Cassandra node. Sourced by `stack`.

cassandra_need() {
    need_program java openjdk-17-jre-headless
    jars cassandra >/dev/null
}

cassandra_launch() {
    local server=$1 where lib heap=${CASSANDRA_HEAP:-512m}
    process "$server" >/dev/null && return
    where=$(folder "$server")
    lib=$(jars cassandra)
    sed "s#@FOLDER@#$where#g; s/@CQL_PORT@/$(port "$server")/
         s/@PEER_PORT@/$(port "$server" peers)/" "$here/cassandra/cassandra.yaml" >"$where/cassandra.yaml"
    if secured; then tls_of_cassandra >>"$where/cassandra.yaml"; fi
    launch "$server" java "@$here/cassandra/jvm.options" "-Xms$heap" "-Xmx$heap" \
        "-javaagent:$(ls "$lib"/jamm-*.jar)" "-Djava.io.tmpdir=$where" \
        "-Dcassandra.config=file://$where/cassandra.yaml" "-Dcassandra.storagedir=$where" \
        "-Dcassandra.logdir=$where" -Dcassandra-foreground=yes -Dcassandra.superuser_setup_delay_ms=0 \
        "-Dlogback.configurationFile=$here/cassandra/logback.xml" \
        -cp "$lib/*" org.apache.cassandra.service.CassandraDaemon
}

cassandra_started() { said "$1" | grep -q 'Startup complete'; }

# An OPTIONS frame of the native protocol (version 4), answered by SUPPORTED.
cassandra_answers() {
    local answer
    answer=$(asks "$(port "$1")" '\x04\x00\x00\x00\x05\x00\x00\x00\x00' 5)
    [[ ${answer:0:2} == 84 && ${answer:8:2} == 06 ]]
}

cassandra_ready() {
    wait_until "$1" cassandra_started "$1" # clients are answered earlier, before the schema is whole
    wait_until "$1" cassandra_answers "$1"
}
