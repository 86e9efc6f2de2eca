# Tells the Sentinel of this pod which shards there are: a new one as soon as one of its two says that it is a primary. Each
# Sentinel learns by itself, so that one that was away, or has lost its volume, needs nobody's help; what it does not know of
# failovers before, the others tell it.
#
# What was scaled away is forgotten when neither of the two has answered for FORGET_SECONDS, while other shards did: by then
# gateways have long given it up, and what is on its volumes counts no more.
trap 'exit 0' TERM INT

sentinel() { REDISCLI_AUTH=$REDIS_PASSWORD timeout 5 redis-cli --user operator -p 26379 SENTINEL "$@" 2> /dev/null; }

role() { REDISCLI_AUTH=$REDIS_PASSWORD timeout 3 redis-cli -h "$1" ROLE 2> /dev/null | head -n 1; }

# The shards that the Sentinel knows, each with its `down-after-milliseconds`.
known() {
    sentinel MASTERS | awk '
        key == "name" { name = $0 }
        key == "down-after-milliseconds" { print name, $0 }
        { key = $0 }'
}

# Sets `answers` and `primary` for a shard.
look() {
    answers='' primary=''
    for host in "$1.campanile-shards" "campanile-shard-replica-${1##*-}.campanile-shards"; do
        case "$(role "$host")" in
            master) answers=yes primary=${primary:-$host} ;;
            slave) answers=yes ;;
        esac
    done
}

register() {
    [ -n "$primary" ] && [ "$(sentinel MONITOR "$service" "$primary" 6379 2)" = OK ] && set_up
}

# Silent for `down-after-milliseconds`: down. Then the others are asked, and one of them makes the replica primary. It is the
# last to be set, and so tells whether the rest is.
set_up() {
    sentinel SET "$service" auth-pass "$REDIS_PASSWORD" failover-timeout 60000 parallel-syncs 1 \
        down-after-milliseconds "$DOWN_AFTER_MILLISECONDS" > /dev/null && echo "$service is watched"
}

learn() {
    known=$(known)
    last=$(printf '%s\n' "$known" | sed 's/ .*//; s/.*-//' | sort -n | tail -n 1)
    number=0 gap=0 answering=' '
    # Beyond those that are known, until there are no more.
    while [ "$number" -le "${last:--1}" ] || [ "$gap" -lt 2 ]; do
        service=campanile-shard-$number
        look "$service"
        if [ -n "$answers" ]; then
            answering="$answering$service " gap=0
        else
            gap=$((gap + 1))
        fi
        case $(printf '%s\n' "$known" | sed -n "s/^$service //p") in
            "$DOWN_AFTER_MILLISECONDS") ;;
            '') register ;;
            *) set_up ;;
        esac
        number=$((number + 1))
    done
}

# Each shard that keeps silent has a file with the time since when.
forget() {
    if [ "$answering" = ' ' ]; then
        rm -f /run/sentinel/silent-*
        return
    fi
    now=$(date +%s)
    printf '%s\n' "$known" | while read -r service _; do
        [ -n "$service" ] || continue
        since=/run/sentinel/silent-$service
        case "$answering" in
            *" $service "*) rm -f "$since" ;;
            *)
                [ -s "$since" ] || echo "$now" > "$since"
                if [ $((now - $(cat "$since"))) -ge "$FORGET_SECONDS" ]; then
                    [ "$(sentinel REMOVE "$service")" = OK ] && rm -f "$since" && echo "$service is forgotten"
                fi
                ;;
        esac
    done
}

while :; do
    learn
    forget
    sleep "$INTERVAL_SECONDS" &
    wait $!
done
