"use strict";
// What the scripts of sections share. Each adds a maker to PARTS, of
// { shapes, picks, keys, mark, bind, show, start, clear }, all of which may be missing.
const PARTS = [];
const ARRAYS = { f4: Float32Array, f8: Float64Array, i4: Int32Array, u1: Uint8Array };
const unpack = ({ dtype, bdata }) =>
  Array.from(new ARRAYS[dtype](Uint8Array.from(atob(bdata), (c) => c.charCodeAt(0)).buffer));
