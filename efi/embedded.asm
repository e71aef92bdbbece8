; What the loader carries: the core and the library of scenarios. The build writes the list.

section .rodata
global embedded_core, embedded_core_end
align 16
embedded_core:
    incbin EMBEDDED_CORE
embedded_core_end:

; struct embedded_scenario (embedded.h). Arguments: file name, path.
%macro SCENARIO 2
[section .rodata]
%%name:
    db %1, 0
%%text:
    incbin %2
%%text_end:
__?SECT?__
    dq %%name, %%text, %%text_end - %%text
%endmacro

section .data.rel.ro progbits alloc noexec write align=8
global embedded_scenarios, embedded_scenarios_end
embedded_scenarios:
%include "scenarios.inc"
embedded_scenarios_end:
