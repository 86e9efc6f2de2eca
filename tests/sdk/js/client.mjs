// The commands of a puppet, wherever it runs: what is done to the official JavaScript client, and which events it has.
//
// `print` gets every event, {"event": "publication", ...}; `defaults` are options of each client.

export function puppet({ Centrifuge, protobuf, print, defaults = {} }) {
  const emit = (event, fields) => print({ event, ...fields });

  // In Protobuf the client hands payloads over as bytes; the tests publish JSON in both.
  const encode = (value) => (protobuf ? new TextEncoder().encode(JSON.stringify(value)) : value);
  const decode = (value) => {
    if (value === undefined || value === null || value.length === 0) return null;
    return protobuf ? JSON.parse(new TextDecoder().decode(value)) : value;
  };

  const info = (it) =>
    it ? { client: it.client, user: it.user, conn_info: decode(it.connInfo), chan_info: decode(it.chanInfo) } : null;
  const publication = (it) => ({
    data: decode(it.data),
    offset: it.offset ?? 0,
    tags: it.tags ?? {},
    info: info(it.info),
  });
  const subscribed = (it) => ({
    channel: it.channel,
    was_recovering: it.wasRecovering,
    recovered: it.recovered,
    recoverable: it.recoverable,
    positioned: it.positioned,
    offset: it.streamPosition?.offset ?? 0,
    epoch: it.streamPosition?.epoch ?? '',
    data: decode(it.data),
  });

  // Subscriptions of the client and those that the server made for it raise the same events.
  function listen(source, server) {
    const side = server ? { server: true } : {};
    source.on('publication', (it) => emit('publication', { channel: it.channel, ...publication(it), ...side }));
    source.on('join', (it) => emit('join', { channel: it.channel, info: info(it.info), ...side }));
    source.on('leave', (it) => emit('leave', { channel: it.channel, info: info(it.info), ...side }));
    source.on('subscribed', (it) => emit('subscribed', { ...subscribed(it), ...side }));
    source.on('subscribing', (it) =>
      emit('subscribing', { channel: it.channel, code: it.code ?? 0, reason: it.reason ?? '', ...side }));
    source.on('unsubscribed', (it) =>
      emit('unsubscribed', { channel: it.channel, code: it.code ?? 0, reason: it.reason ?? '', ...side }));
  }

  let client = null;

  return {
    connect({ url, token, options }) {
      client = new Centrifuge(url, { ...defaults, token, ...options });
      client.on('connected', (it) => emit('connected', { client: it.client, data: decode(it.data) }));
      client.on('connecting', (it) => emit('connecting', { code: it.code, reason: it.reason }));
      client.on('disconnected', (it) => emit('disconnected', { code: it.code, reason: it.reason }));
      client.on('error', (it) => emit('error', { code: it.error.code, message: it.error.message }));
      client.on('message', (it) => emit('message', { data: decode(it.data) }));
      listen(client, true);
      client.connect();
    },
    disconnect() {
      client.disconnect();
    },
    subscribe({ channel, options }) {
      const sub = client.getSubscription(channel) ?? client.newSubscription(channel, options ?? {});
      if (sub.listenerCount('publication') === 0) {
        listen(sub, false);
        sub.on('error', (it) => emit('subscription_error', { channel, code: it.error.code, message: it.error.message }));
      }
      sub.subscribe();
    },
    unsubscribe({ channel }) {
      client.getSubscription(channel).unsubscribe();
    },
    async publish({ channel, data }) {
      await client.publish(channel, encode(data));
    },
    async presence({ channel }) {
      const result = await client.presence(channel);
      return Object.fromEntries(Object.entries(result.clients).map(([id, it]) => [id, info(it)]));
    },
    async presence_stats({ channel }) {
      const result = await client.presenceStats(channel);
      return { num_clients: result.numClients, num_users: result.numUsers };
    },
    async history({ channel, limit, since, reverse }) {
      const result = await client.history(channel, { limit, since, reverse });
      return { publications: result.publications.map(publication), offset: result.offset, epoch: result.epoch };
    },
    async rpc({ method, data }) {
      return decode((await client.rpc(method, encode(data))).data);
    },
  };
}
