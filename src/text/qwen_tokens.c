/* See qwen_tokens.h. */
#include "text/qwen_tokens.h"

const QwenToken qwen_tokens[QWEN_TOKENS] = {
    {"<|endoftext|>", true},      {"<|im_start|>", true},
    {"<|im_end|>", true},         {"<|object_ref_start|>", true},
    {"<|object_ref_end|>", true}, {"<|box_start|>", true},
    {"<|box_end|>", true},        {"<|quad_start|>", true},
    {"<|quad_end|>", true},       {"<|vision_start|>", true},
    {"<|vision_end|>", true},     {"<|vision_pad|>", true},
    {"<|image_pad|>", true},      {"<|video_pad|>", true},
    {"<tool_call>", false},       {"</tool_call>", false},
    {"<|fim_prefix|>", false},    {"<|fim_middle|>", false},
    {"<|fim_suffix|>", false},    {"<|fim_pad|>", false},
    {"<|repo_name|>", false},     {"<|file_sep|>", false},
    {"<tool_response>", false},   {"</tool_response>", false},
    {"<think>", false},           {"</think>", false},
};

extern const char qwen_template_begin[], qwen_template_end[];
__asm__(".section .rodata\n"
        ".global qwen_template_begin, qwen_template_end\n"
        ".hidden qwen_template_begin, qwen_template_end\n"
        "qwen_template_begin: .incbin \"models/chat_template.jinja\"\n"
        "qwen_template_end: .byte 0\n"
        ".previous\n");

Str qwen_chat_template(void)
{
    return (Str){qwen_template_begin, (size_t)(qwen_template_end - qwen_template_begin)};
}
