// Keys and values of one layer: [sequence][slot][kv head][padded_dim], f32 or f16.
//
// The slot of a position is position % capacity. A local layer's capacity is its ring (window plus
// longest chunk, less one); a global layer's is at least the sequence's length, so it never wraps.
//
//   KV_F32          four floats per vec4
//   KV_F16          two halves a 32-bit word (tier 0: no 16-bit storage)
//   KV_F16 with STORAGE16   four halves an f16vec4 (rung "storage16")
//
// The including shader defines KV_ACCESS (readonly, writeonly) and KV_BINDING_K / KV_BINDING_V.
#if defined(KV_F32)
#define KV_ELEMENT vec4
vec4 kv_unpack(KV_ELEMENT e) { return e; }
KV_ELEMENT kv_pack(vec4 v) { return v; }
#elif defined(STORAGE16)
#extension GL_EXT_shader_16bit_storage : require
#define KV_ELEMENT f16vec4
#define kv_unpack(e) vec4(e)
#define kv_pack(v) f16vec4(v)
#else
#define KV_ELEMENT uvec2
vec4 kv_unpack(KV_ELEMENT e) { return vec4(unpackHalf2x16(e.x), unpackHalf2x16(e.y)); }
KV_ELEMENT kv_pack(vec4 v) { return uvec2(packHalf2x16(v.xy), packHalf2x16(v.zw)); }
#endif

layout(binding = KV_BINDING_K) KV_ACCESS buffer Keys { KV_ELEMENT keys[]; };
layout(binding = KV_BINDING_V) KV_ACCESS buffer Values { KV_ELEMENT values[]; };

// Index of the first element (four numbers) of one head in one slot.
uint kv_index(uint sequence, uint slot, uint kv_head, uint capacity, uint kv_heads,
              uint padded_dim) {
    return ((sequence * capacity + slot) * kv_heads + kv_head) * (padded_dim / 4);
}
