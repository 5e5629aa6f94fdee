// Keys and values of one layer: [slot][kv head][a head], where slots are those of all sequences.
//
// A local layer is a ring: a position's slot is sequence * capacity + position % capacity, and capacity
// is the window plus the longest chunk, less one. A global layer is paged: slots come in pages of
// kPage, and a table says which page of the buffer a sequence's positions are in, so that sequences
// can share what they begin with. What no buffer that can be bound holds is cut into pieces of
// positions [key_first, key_end), each with its own buffers and table.
//
//   KV_F32          four floats per vec4
//   KV_F16          two halves a 32-bit word (tier 0: no 16-bit storage)
//   KV_F16 with STORAGE16   four halves an f16vec4 (rung "storage16")
//   KV_Q8_0         four int8 a 32-bit word, a head in blocks of 32; behind them the blocks' scales, halves
//
// The including shader defines KV_ACCESS (readonly, writeonly), KV_BINDING_K / KV_BINDING_V and
// KV_BINDING_PAGES, and has `p` with capacity, pages, kv_heads, padded_dim before it uses what is here.
#if defined(KV_F32)
#define KV_ELEMENT vec4
vec4 kv_unpack(KV_ELEMENT e) { return e; }
KV_ELEMENT kv_pack(vec4 v) { return v; }
#elif defined(KV_Q8_0)
#define KV_ELEMENT uint
const uint kBlockQuads = 8;
vec4 kv_unpack(uint quants, uint scales, uint block) {
    const vec2 both = unpackHalf2x16(scales);
    const int q = int(quants);
    return vec4(bitfieldExtract(q, 0, 8), bitfieldExtract(q, 8, 8), bitfieldExtract(q, 16, 8), q >> 24) *
           (block % 2 == 0 ? both.x : both.y);
}
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
layout(binding = KV_BINDING_PAGES) readonly buffer Pages { uint pages[]; };  // [sequence][p.pages]

const uint kPage = 64;  // as in engine/ops/kv_layer.h

// Where a position's head begins, in elements: kv_head_at(kv_slot(...), ...).
#define kv_slot(sequence, position)                                                                 \
    (p.pages > 0 ? pages[(sequence) * p.pages + ((position) - p.key_first) / kPage] * kPage +       \
                       (position) % kPage                                                           \
                 : (sequence) * p.capacity + (position) % p.capacity)
// From the slot of position - 1 on: true where kv_slot has to be asked, else it is the next.
#define kv_slot_jumps(slot_before, position)                                                        \
    (p.pages > 0 ? (position) % kPage == 0 : ((slot_before) + 1) % p.capacity == 0)
#if defined(KV_Q8_0)
#define kv_blocks ((p.padded_dim + 31) / 32)
#define kv_stride (kv_blocks * kBlockQuads + (kv_blocks + 1) / 2)
#define kv_quad(plane, at, quad)                                                                    \
    kv_unpack(plane[(at) + (quad)], plane[(at) + kv_blocks * kBlockQuads + (quad) / kBlockQuads / 2], \
              (quad) / kBlockQuads)
#else
#define kv_stride (p.padded_dim / 4)
#define kv_quad(plane, at, quad) kv_unpack(plane[(at) + (quad)])
#endif
#define kv_head_at(slot, kv_head) (((slot) * p.kv_heads + (kv_head)) * kv_stride)
