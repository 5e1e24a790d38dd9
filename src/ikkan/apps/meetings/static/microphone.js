// The microphone at 16,000 samples a second, 16 bits, in pieces of a tenth of a second.
"use strict";

const WANTED = 16000;
const PIECE = 1600;

class Microphone extends AudioWorkletProcessor {
  constructor() {
    super();
    this.step = sampleRate / WANTED;
    this.at = 0;      // of the next sample wanted, counted in samples that came, from the start of what is left
    this.left = [];
    this.piece = new Int16Array(PIECE);
    this.filled = 0;
    this.loudest = 0;
  }

  process(inputs) {
    const channels = inputs[0];
    if (!channels.length) return true;
    for (let n = 0; n < channels[0].length; n += 1) {
      let sample = 0;
      for (const channel of channels) sample += channel[n];
      this.left.push(sample / channels.length);
    }
    // The mean over a step: what lies above half the wanted rate is mostly averaged away.
    while (this.at + this.step <= this.left.length) {
      const from = Math.floor(this.at);
      const until = Math.max(from + 1, Math.floor(this.at + this.step));
      let sum = 0;
      for (let n = from; n < until; n += 1) sum += this.left[n];
      this.keep(sum / (until - from));
      this.at += this.step;
    }
    const gone = Math.floor(this.at);
    this.left.splice(0, gone);
    this.at -= gone;
    return true;
  }

  keep(sample) {
    const clipped = Math.max(-1, Math.min(1, sample));
    this.loudest = Math.max(this.loudest, Math.abs(clipped));
    this.piece[this.filled] = Math.round(clipped * 32767);
    this.filled += 1;
    if (this.filled < PIECE) return;
    const whole = this.piece.buffer;
    this.port.postMessage({ pcm: whole, level: this.loudest }, [whole]);
    this.piece = new Int16Array(PIECE);
    this.filled = 0;
    this.loudest = 0;
  }
}

registerProcessor("microphone", Microphone);
