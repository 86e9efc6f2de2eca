# Starts a Redis of which Sentinel says whether it is a primary or follows one.
umask 077

number=${POD_NAME##*-}
service=shard-$number
first=campanile-shard-$number.campanile-shards
case "$POD_NAME" in
    campanile-shard-replica-*) own=$POD_NAME.campanile-shards-replica ;;
    *) own=$POD_NAME.campanile-shards ;;
esac

# Sentinels let everybody look, so that there is no password for them.
ask() { REDISCLI_AUTH='' timeout 3 redis-cli -h "$1" -p 26379 SENTINEL GET-MASTER-ADDR-BY-NAME "$service" 2> /dev/null; }
primary=
for index in 0 1 2; do
    answer=$(ask "campanile-sentinel-$index.campanile-sentinels" | head -n 1) || true
    case "$answer" in
        campanile-shard-*) primary=$answer && break ;;
    esac
done
# Nobody knows, such as at the very beginning: then it is as it was at the beginning. If it has changed since, the Sentinels
# put it right when they are back, and no gateway uses a Redis that they do not name.
primary=${primary:-$first}

{
    cat /etc/redis/redis.conf
    printf 'requirepass "%s"\nmasterauth "%s"\n' "$REDISCLI_AUTH" "$REDISCLI_AUTH"
    # A primary whose replica stays away would otherwise call itself by another replication id after an hour, and gateways
    # would take it for another server.
    printf 'repl-backlog-ttl 0\n'
    # By name, because the address is another one after each restart.
    printf 'replica-announce-ip %s\n' "$own"
    if [ "$primary" != "$own" ]; then printf 'replicaof %s 6379\n' "$primary"; fi
} > /run/redis/redis.conf
echo "$own: $service is $primary"
exec redis-server /run/redis/redis.conf
