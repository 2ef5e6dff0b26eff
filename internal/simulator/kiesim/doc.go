// Package kiesim is a server that speaks KIE.ai's wire protocol, so that the real client can be developed and tested
// without the real provider. A client cannot tell the two apart by what is listed here: the unified jobs API (createTask,
// recordInfo, signed callbacks), the credit balance, the upload endpoints, download links and the catalog. Every body is
// checked against the models that the provider published in October 2026 (models.json), credits are charged by their
// listed prices, and results are real files made from the prompt: PNG or JPEG pictures, H.264 in MP4, MP3.
//
// It stands beside the product, never inside it: it imports no other package of this module, so an error that client and
// simulator would otherwise share shows up.
//
// Invariants:
//   - A task is charged when it is accepted and refunded in full when it fails; the balance never goes below zero.
//   - A result is a pure function of its task. Nothing is stored for it; a restart makes the same bytes again.
//   - With Config.DataDir, a task whose creation was answered survives a restart and goes on.
//   - Every goroutine ends before Close returns.
//
// Under /sim/ a test or an operator scripts faults and reads what was received; see Fault and Call.
//
// What it lacks, so that nobody trusts it too far:
//   - The dedicated families (veo, suno, runway, aleph, 4o, flux kontext, midjourney, luma, omni helpers), chat models and
//     the keyless price feed: those paths answer code 404.
//   - Fields that only exclude or require each other in prose; input files are not fetched or measured (only this
//     server's own upload links are looked up); task ids in an input are not resolved.
//   - Wording and code of field errors are the documented 422; the real server answers some of them with code 500.
//   - The data of …/price is modelled on the provider's public price feed, no recording of it being known. Surcharges
//     that the price list states in prose (per input image, per input second) are left out; unpriced models are free.
//   - Limits other than the one on createTask, retention of files, IP lists, sub-key caps, maintenance (script a 455).
//   - Videos are silent and at most ten seconds; speech is a melody, and MP3 whatever format was asked for; pictures are at
//     most 1024 pixels wide or high.
package kiesim
