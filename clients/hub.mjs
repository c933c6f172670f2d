// How an unmodified client reaches a hub: a client certificate, and the hub's key pinned.
//
// The pin is compared when the TLS handshake ends, before the first byte of HTTP is sent.

import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import https from 'node:https';
import { Agent, buildConnector, fetch } from 'undici';

export function keyOf(certificate) {
  const spki = new X509Certificate(certificate).publicKey.export({ type: 'spki', format: 'der' });
  return 'sha256:' + createHash('sha256').update(spki).digest('base64url');
}

function wrongKey(socket, pin) {
  const seen = keyOf(socket.getPeerCertificate().raw);
  return seen === pin ? null : new Error(`the hub's key is ${seen}, expected ${pin}`);
}

// The certificate names nobody that a certificate authority knows: the pin is the check.
function tlsOptions({ certificate, privateKey }) {
  const mine = certificate && { cert: readFileSync(certificate), key: readFileSync(privateKey) };
  return { ...mine, rejectUnauthorized: false, minVersion: 'TLSv1.3', maxCachedSessions: 0 };
}

export function hubDispatcher(config) {
  const connect = buildConnector(tlsOptions(config));
  return new Agent({
    bodyTimeout: 0, // a live feed may be silent for long
    connections: 16,
    connect(options, done) {
      connect(options, (error, socket) => {
        const refused = error ?? wrongKey(socket, config.key);
        if (!refused) return done(null, socket);
        socket?.destroy();
        return done(refused);
      });
    },
  });
}

// A `fetch` for PouchDB's option of that name.  PouchDB on Node.js speaks to node-fetch, whose
// responses have `buffer`.
export function hubFetch(config) {
  const dispatcher = hubDispatcher(config);
  return async (url, options = {}) => {
    const headers = [...(options.headers ?? [])];
    const response = await fetch(url, { ...options, headers, dispatcher });
    response.buffer = async () => Buffer.from(await response.arrayBuffer());
    return response;
  };
}

// An agent for clients that use node:https.
export function hubAgent(config) {
  const agent = new https.Agent({ ...tlsOptions(config), keepAlive: true });
  const { createConnection } = agent;
  agent.createConnection = (options, done) => {
    const socket = createConnection.call(agent, options);
    socket.once('secureConnect', () => {
      const refused = wrongKey(socket, config.key);
      if (refused) socket.destroy(refused);
      done?.(refused, socket);
    });
    socket.once('error', (error) => done?.(error));
  };
  return agent;
}
