# Starts a Redis of which Sentinel says whether it is a primary or follows one.
umask 077
# Until Redis takes its place this shell is the process that gets the signals, and the first of a container has no default for them.
trap 'exit 0' TERM

number=${POD_NAME##*-}
service=campanile-shard-$number
first=$service.campanile-shards
own=$POD_NAME.campanile-shards

# What a Sentinel says, if it answers: the epoch in which it learned who is the primary, and who that is; `0 -`: it does not
# know the shard. They let everybody look, so that there is no password for them.
ask() {
    printf '%s\n' PING "SENTINEL GET-MASTER-ADDR-BY-NAME $service" "SENTINEL MASTER $service" |
        REDISCLI_AUTH='' timeout 3 redis-cli -h "$1" -p 26379 2> /dev/null |
        awk '
            NR == 1 { answers = ($0 == "PONG") }
            NR == 2 && /^campanile-shard-/ { primary = $0 }
            key == "config-epoch" { epoch = $0 }
            { key = $0 }
            END { if (answers) print epoch + 0, primary ? primary : "-" }'
}

# Two of the three have heard of the latest failover, so that two have to answer: whoever began as a replica of the wrong one
# would throw away what it has. After SENTINEL_SECONDS one is better than none. Without any, nobody would use this Redis anyway.
end=$(($(date +%s) + SENTINEL_SECONDS))
while :; do
    answers=$(for index in 0 1 2; do ask "campanile-sentinel-$index.campanile-sentinels"; done)
    count=$(printf '%s\n' "$answers" | grep -c .) || true
    [ "$count" -lt 2 ] || break
    [ "$count" -lt 1 ] || [ "$(date +%s)" -lt "$end" ] || break
    [ -n "${waiting:-}" ] || echo "$own: waiting for Sentinels to say who is the primary of $service"
    waiting=yes
    sleep 1
done
primary=$(printf '%s\n' "$answers" | LC_ALL=C sort -n | tail -n 1)
primary=${primary#* }
# A new shard begins with the first of its two, which the Sentinels then find to be a primary (register.sh); and one that all Sentinels
# have forgotten with the one that is.
if [ "$primary" = - ]; then
    primary=$first
    second=campanile-shard-replica-$number.campanile-shards
    if [ "$own" = "$first" ] && [ "$(timeout 3 redis-cli -h "$second" ROLE 2> /dev/null | head -n 1)" = master ]; then
        primary=$second
    fi
fi

{
    cat /etc/redis/redis.conf
    printf 'requirepass "%s"\nmasterauth "%s"\n' "$REDISCLI_AUTH" "$REDISCLI_AUTH"
    [ -z "$REDIS_FORMER_PASSWORD" ] ||
        printf 'user default on >%s >%s ~* &* +@all\n' "$REDISCLI_AUTH" "$REDIS_FORMER_PASSWORD"
    printf 'user campanile on >%s %s %s\n' "$GATEWAY_PASSWORD" \
      "${GATEWAY_FORMER_PASSWORD:+>$GATEWAY_FORMER_PASSWORD}" "$(grep -v '^#' /etc/redis/gateway.acl | tr '\n' ' ')"
    # A primary whose replica stays away would otherwise call itself by another replication id after an hour, and gateways
    # would take it for another server.
    printf 'repl-backlog-ttl 0\n'
    # By name, because the address is another one after each restart.
    printf 'replica-announce-ip %s\n' "$own"
    if [ "$primary" != "$own" ]; then printf 'replicaof %s 6379\n' "$primary"; fi
} > /run/redis/redis.conf
echo "$own: $service is $primary"
exec redis-server /run/redis/redis.conf
