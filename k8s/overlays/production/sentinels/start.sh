# Starts a Sentinel with what it knew before.
umask 077
conf=/data/sentinel.conf

[ -s "$conf" ] || {
    cat /etc/campanile-sentinel/sentinel.conf
    printf 'sentinel announce-ip %s.campanile-sentinels\n' "$POD_NAME"
} > "$conf"

# Shards that it does not know yet begin with the first of their two.
for service in $SHARDS; do
    grep -q "^sentinel monitor $service " "$conf" || {
        printf 'sentinel monitor %s campanile-shard-%s.campanile-shards 6379 2\n' "$service" "${service##*-}"
        # Silent for this long: down. Then the others are asked, and one of them makes the replica primary.
        printf 'sentinel down-after-milliseconds %s 5000\n' "$service"
        printf 'sentinel failover-timeout %s 60000\n' "$service"
        printf 'sentinel parallel-syncs %s 1\n' "$service"
    } >> "$conf"
done

# Passwords and permissions are those of today.
sed -i -e '/^sentinel auth-pass /d' -e '/^user /d' "$conf"
grep '^user ' /etc/campanile-sentinel/sentinel.conf >> "$conf"
for service in $SHARDS; do
    printf 'sentinel auth-pass %s %s\n' "$service" "$REDIS_PASSWORD" >> "$conf"
done
printf 'user operator on >%s ~* &* +@all\n' "$REDIS_PASSWORD" >> "$conf"

exec redis-server "$conf" --sentinel
