// The same hub on Node's socket.io: room broadcast, ack, nothing stored.
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer((request, response) => response.end("ok"));
const io = new Server(http, { cors: { origin: "*" } });

io.on("connection", (socket) => {
  socket.on("join", (data, ack) => {
    socket.join(data.room);
    ack({ ok: true });
  });
  socket.on("send", (data, ack) => {
    io.to(data.room).emit("m", { body: data.body, from: socket.id });
    ack({ ok: true });
  });
});

http.listen(Number(process.argv[2]), "127.0.0.1");
