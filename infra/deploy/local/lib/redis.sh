# shellcheck shell=bash disable=SC2154 # `here` is set by `stack`
# Redis servers without persistence: what they hold can be made again. `redis-cluster` is a cluster of
# one that has all slots, so that it refuses what a cluster of many would. Sourced by `stack`.

redis_need() { need_program redis-server redis-server; }

redis_launch() {
    local mode=no secure=()
    # shellcheck disable=SC2207 # words, none with a blank
    ! secured || secure=($(tls_of_redis "$1"))
    [[ $1 != redis-cluster ]] || mode=yes
    launch "$1" redis-server --bind 127.0.0.1 --port "$(port "$1")" --dir "$(folder "$1")" \
        --save '' --appendonly no --daemonize no \
        --cluster-enabled $mode --cluster-port "$(port "$1" bus)" "${secure[@]}"
}

# PING, answered by +PONG.
redis_answers() { [[ $(asks "$(port "$1")" 'PING\r\n' 5) == 2b504f4e47 ]]; }

# Slots are its own once it was told so; it takes a moment to believe it.
redis_has_slots() {
    asks "$(port "$1")" 'CLUSTER ADDSLOTSRANGE 0 16383\r\n' 1 >/dev/null
    [[ $(asks "$(port "$1")" 'EXISTS a\r\n' 4) == 3a300d0a ]] # :0
}

redis_ready() {
    wait_until "$1" redis_answers "$1"
    [[ $1 != redis-cluster ]] || wait_until "$1" redis_has_slots "$1"
}
