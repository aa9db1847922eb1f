# shellcheck shell=bash disable=SC2154 # `here` is set by `stack`
# One Redis server, without persistence: what it holds can be made again. Sourced by `stack`.

redis_need() { need_program redis-server redis-server; }

redis_launch() {
    launch "$1" redis-server --bind 127.0.0.1 --port "$(port "$1")" --dir "$(folder "$1")" \
        --save '' --appendonly no --daemonize no
}

# PING, answered by +PONG.
redis_answers() { [[ $(asks "$(port "$1")" 'PING\r\n' 5) == 2b504f4e47 ]]; }

redis_ready() { wait_until "$1" redis_answers "$1"; }
