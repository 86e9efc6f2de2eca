# Starts a Sentinel with what it knew before. Of new shards it is told while it runs (register.sh).
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

# Passwords and permissions are those of today.
sed -i -e '/^sentinel auth-pass /d' -e '/^user /d' "$conf"
{
    sed -n "s/^sentinel monitor \([^ ]*\) .*/sentinel auth-pass \1 $REDIS_PASSWORD/p" "$conf"
    grep '^user ' /etc/campanile-sentinel/sentinel.conf
    printf 'user operator on >%s ~* &* +@all\n' "$REDIS_PASSWORD"
} > /run/sentinel/today
cat /run/sentinel/today >> "$conf"

exec redis-server "$conf" --sentinel
