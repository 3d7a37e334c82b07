// As usersig.c, with the vendor's generator for Node.
"use strict";
const { Api } = require("tls-sig-api-v2");

const api = new Api(Number(process.env.IMGROUP_SDKAPPID), process.env.IMGROUP_SECRET_KEY);
require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const begin = process.cpuUsage();
  let size = 0;
  for (let number = 0; number < Number(line); number++) size += api.genUserSig(`user${number}`, 15552000).length;
  const { user, system } = process.cpuUsage(begin);
  console.log((user + system) * 1000, size);
});
