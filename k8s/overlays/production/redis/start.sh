# Starts a Redis of which Sentinel says whether it is a primary or follows one.
umask 077
# Until Redis takes its place this shell is the process that gets the signals, and the first of a container has no default for them.
trap 'exit 0' TERM

number=${POD_NAME##*-}
service=shard-$number
case "$POD_NAME" in
    campanile-shard-replica-*) own=$POD_NAME.campanile-shards-replica ;;
    *) own=$POD_NAME.campanile-shards ;;
esac

# The latest failover that a Sentinel knows of, and the primary since. They let everybody look, so that there is no password for them.
ask() {
    REDISCLI_AUTH='' timeout 3 redis-cli -h "$1" -p 26379 SENTINEL MASTER "$service" 2> /dev/null | awk '
        $1 == "ip" { getline; host = $1 }
        $1 == "config-epoch" { getline; epoch = $1 }
        END { if (host ~ /^campanile-shard-/) print epoch + 0, host }'
}

# It waits for two of the three, as many as it takes to decide on a primary: so one of them has been there. After SENTINEL_SECONDS one
# alone is believed, which may be all that is left. But it does not guess: a server that was replaced, and after a failure of everything
# came back as what it was at the beginning, would hand its older data to the one that has the newer.
end=$(($(date +%s) + SENTINEL_SECONDS))
while :; do
    answers=$(for index in 0 1 2; do ask "campanile-sentinel-$index.campanile-sentinels"; done)
    count=$(printf '%s\n' "$answers" | grep -c .) || true
    [ "$count" -lt 2 ] || break
    [ "$count" -lt 1 ] || [ "$(date +%s)" -lt "$end" ] || break
    [ -n "${waiting:-}" ] || echo "$own: waiting for Sentinels that know $service"
    waiting=yes
    sleep 1
done
primary=$(printf '%s\n' "$answers" | sort -n | tail -n 1 | cut -d ' ' -f 2)

{
    cat /etc/redis/redis.conf
    printf 'requirepass "%s"\nmasterauth "%s"\n' "$REDISCLI_AUTH" "$REDISCLI_AUTH"
    [ -z "$REDIS_FORMER_PASSWORD" ] ||
        printf 'user default on >%s >%s ~* &* +@all\n' "$REDISCLI_AUTH" "$REDIS_FORMER_PASSWORD"
    # A primary whose replica stays away would otherwise call itself by another replication id after an hour, and gateways
    # would take it for another server.
    printf 'repl-backlog-ttl 0\n'
    # By name, because the address is another one after each restart.
    printf 'replica-announce-ip %s\n' "$own"
    if [ "$primary" != "$own" ]; then printf 'replicaof %s 6379\n' "$primary"; fi
} > /run/redis/redis.conf
echo "$own: $service is $primary"
exec redis-server /run/redis/redis.conf
