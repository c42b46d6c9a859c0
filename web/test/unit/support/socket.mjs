// Node 20's WebSocket counts what is sent by a view that it keeps: if that is on
// the core's memory and this grows, bufferedAmount never falls again. Browsers
// have no such fault.

const { send } = WebSocket.prototype;

WebSocket.prototype.send = function (data) {
  send.call(this, ArrayBuffer.isView(data) ? data.slice() : data);
};
