// Tickets by the vendor's generator for Node, as one JSON object on standard output.
// Arguments: sdkappid, identifier, key.
"use strict";
const { Api } = require("tls-sig-api-v2");

const [sdkappid, identifier, key] = process.argv.slice(2);
const api = new Api(Number(sdkappid), key);
const day = 86400;
process.stdout.write(JSON.stringify({
  plain: api.genUserSig(identifier, day),
  "with userbuf": api.genSig(identifier, day, Buffer.from("abc")),
  "private map key": api.genPrivateMapKey(identifier, day, 10000, 255),
  "private map key, room by name": api.genPrivateMapKeyWithStringRoomID(identifier, day, "a room", 42),
  "another user": api.genUserSig("alice", day),
  "another app": new Api(Number(sdkappid) + 1, key).genUserSig(identifier, day),
  "another key": new Api(Number(sdkappid), "x" + key).genUserSig(identifier, day),
  expired: api.genUserSig(identifier, -10),
}));
