# Starts a Sentinel with what it knew before.
umask 077
conf=/data/sentinel.conf

# As a whole or not at all: what is there is never replaced.
[ -s "$conf" ] || {
    {
        cat /etc/campanile-sentinel/sentinel.conf
        printf 'sentinel announce-ip %s.campanile-sentinels\n' "$POD_NAME"
    } > "$conf.new"
    mv "$conf.new" "$conf"
}

# Whom a Redis follows, if it is there and a replica.
followed() {
    REDISCLI_AUTH=$REDIS_PASSWORD timeout 3 redis-cli -h "$1" ROLE 2> /dev/null |
        awk 'NR == 1 && $1 != "slave" { exit } NR == 2 { if ($1 ~ /^campanile-shard-/) print $1; exit }'
}

# Shards that it does not know yet begin with the first of their two, unless that one says that it has been replaced, before all Sentinels
# lost what they knew: they do not find a primary by way of its replica.
for service in $SHARDS; do
    grep -q "^sentinel monitor $service " "$conf" || {
        first=campanile-shard-${service##*-}.campanile-shards
        primary=$(followed "$first")
        # Silent for 5 s: down. Then the others are asked, and one of them makes the replica primary.
        cat >> "$conf" << END
sentinel monitor $service ${primary:-$first} 6379 2
sentinel down-after-milliseconds $service 5000
sentinel failover-timeout $service 60000
sentinel parallel-syncs $service 1
END
    }
done

# Passwords and permissions are those of today.
sed -i -e '/^sentinel auth-pass /d' -e '/^user /d' "$conf"
grep '^user ' /etc/campanile-sentinel/sentinel.conf >> "$conf"
for service in $SHARDS; do
    printf 'sentinel auth-pass %s %s\n' "$service" "$REDIS_PASSWORD" >> "$conf"
done
printf 'user operator on >%s ~* &* +@all\n' "$REDIS_PASSWORD" >> "$conf"

exec redis-server "$conf" --sentinel
